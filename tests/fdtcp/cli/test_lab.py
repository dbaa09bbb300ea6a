from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fdtcp.cli.lab import DESTINATION, SOURCE, Lab, LabFailed, account


@pytest.fixture
def place() -> Iterator[str]:
    with TemporaryDirectory(prefix="fdt-lab-") as directory:
        yield directory


def test_it_makes_certificates_a_proxy_a_map_and_configurations(place: str) -> None:
    lab = Lab(place)
    lab.make()
    assert account() in Path(lab.gridmap).read_text()
    assert Path(lab.proxy).stat().st_mode & 0o777 == 0o600
    assert lab.environment["X509_CERT_DIR"] == lab.ca_dir
    config = (Path(place) / "source" / "fdtd.conf").read_text()
    for words in ("listen = 127.0.0.2:0,", "interfaces = 127.1.0.2, 127.2.0.2", "mode = same", lab.data(SOURCE)):
        assert words in config
    assert ("allow_root_self = yes" in config) == (os.geteuid() == 0)


def test_daemons_start_on_ports_of_their_own_and_are_gone_afterwards(place: str) -> None:
    lab = Lab(place, {"session": "client_grace = 1s"})
    lab.make()
    with lab:
        ports = {lab.start(host).port for host in (SOURCE, DESTINATION)}
        assert 0 not in ports
        assert lab.pfn(SOURCE, "x").startswith(f"fdt://127.0.0.2:{lab.daemons['source'].port}/")
    assert [daemon.process.poll() is not None for daemon in lab.daemons.values()] == [True, True]


def test_a_daemon_that_does_not_start_is_told_with_its_own_words(place: str) -> None:
    lab = Lab(place, {"session": "client_grace = never"})
    lab.make()
    with lab, pytest.raises(LabFailed, match=r"client_grace.*not a duration"):
        lab.start(SOURCE)


def test_who_has_no_account_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(LabFailed, match="has no account"):
        account()
