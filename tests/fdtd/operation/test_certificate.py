from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

from authsvc import expiry
from authsvc.errors import CredentialExpired
from fdtd.operation import certificate
from fdtd.operation.certificate import CertificateWatch
from tests.helpers.daemons import RunningDaemon, run_fdtd
from tests.helpers.pki import Pki


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def test_it_is_told_at_the_start_and_then_once_a_day(
    pki: Pki, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    end = expiry.first_end(pki.host.cert_path)
    watch = CertificateWatch(pki.host)
    watch.start()
    assert not caplog.text
    monkeypatch.setattr(time, "time", lambda: end - 5 * 86400)
    watch.tick()
    assert not caplog.text
    monkeypatch.setattr(certificate, "EVERY_S", 0.0)
    watch.start()
    watch.tick()
    assert caplog.text.count("ends in 5 days") == 2
    monkeypatch.setattr(time, "time", lambda: end + 1)
    with caplog.at_level(logging.ERROR):
        watch.tick()
    assert "expired at" in caplog.text
    with pytest.raises(CredentialExpired):
        watch.start()


def test_a_daemon_with_an_ended_certificate_does_not_start(pki: Pki, tmp_path: Path) -> None:
    expired = pki.expired_proxy("host-for-test")
    sections = {"security": {"certificate": expired.cert_path, "key": expired.key_path}}
    config = RunningDaemon(tmp_path / "d", pki, sections=sections).config
    for arguments in ((), ("--check",)):
        done = run_fdtd(config, *arguments)
        assert done.returncode == 3
        assert "expired at" in done.stderr
