from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from authsvc.credentials import Credential, check_files, explain, find_proxy
from authsvc.errors import BadCredential, CredentialExpired
from tests.helpers.pki import Pki

UID = os.getuid()


@pytest.fixture
def proxy(pki: Pki, tmp_path: Path) -> Path:
    path = tmp_path / "proxy"
    path.write_bytes(Path(pki.proxy.cert_path).read_bytes())
    path.chmod(0o600)
    return path


def both(path: Path) -> Credential:
    return Credential(str(path), str(path))


def test_the_option_comes_before_the_environment_before_the_default(proxy: Path) -> None:
    environment = {"X509_USER_PROXY": "/nonexistent"}
    assert find_proxy(str(proxy), environment, UID) == both(proxy)
    assert find_proxy(None, {"X509_USER_PROXY": str(proxy)}, UID) == both(proxy)
    with pytest.raises(BadCredential, match=r"no proxy at /nonexistent \(named by X509_USER_PROXY\)"):
        find_proxy(None, environment, UID)
    with pytest.raises(BadCredential, match=r"no proxy at /tmp/x509up_u4000000000 \(the default place\)") as refused:
        find_proxy(None, {}, 4_000_000_000)
    assert "grid-proxy-init" in refused.value.remedy


def test_a_good_proxy_passes(proxy: Path, pki: Pki) -> None:
    check_files(both(proxy), UID)
    check_files(pki.user, UID)
    proxy.chmod(0o400)
    check_files(both(proxy), UID)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_a_proxy_open_to_others_is_refused_with_the_command_that_mends_it(mode: int, proxy: Path) -> None:
    proxy.chmod(mode)
    with pytest.raises(BadCredential, match=f"open to others .mode {mode:04o}") as refused:
        check_files(both(proxy), UID)
    assert refused.value.remedy == f"chmod 600 {proxy}"


def test_another_owner_is_refused(proxy: Path) -> None:
    with pytest.raises(BadCredential, match=f"belongs to uid {UID}, not to {UID + 1}"):
        check_files(both(proxy), UID + 1)


def test_nobody_is_told_to_make_a_proxy_of_a_host_s_key(pki: Pki) -> None:
    with pytest.raises(BadCredential, match=r"the key .* belongs to uid") as refused:
        check_files(pki.host, UID + 1)
    assert "proxy" not in refused.value.remedy


def test_a_symlink_is_refused(proxy: Path) -> None:
    link = proxy.with_name("link")
    link.symlink_to(proxy)
    with pytest.raises(BadCredential, match="is a symlink"):
        check_files(both(link), UID)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    for path in (fifo, tmp_path):
        with pytest.raises(BadCredential, match="not a regular file"):
            check_files(both(path), UID)
    with pytest.raises(BadCredential, match="No such file"):
        check_files(both(tmp_path / "none"), UID)


def test_empty_and_huge_files_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "odd"
    path.touch(0o600)
    with pytest.raises(BadCredential, match="has 0 bytes"):
        check_files(both(path), UID)
    os.truncate(path, 1 << 40)
    with pytest.raises(BadCredential, match="cannot be a PEM file"):
        check_files(both(path), UID)


def test_a_certificate_that_others_could_change_is_refused(pki: Pki, tmp_path: Path) -> None:
    certificate = tmp_path / "cert.pem"
    certificate.write_bytes(Path(pki.user.cert_path).read_bytes())
    certificate.chmod(0o666)
    with pytest.raises(BadCredential, match="could be changed by others"):
        check_files(Credential(str(certificate), pki.user.key_path), UID)


def test_a_good_credential_needs_no_explanation(pki: Pki, proxy: Path) -> None:
    assert explain(both(proxy)) is None
    assert explain(pki.user) is None


def test_the_end_of_a_proxy_is_told(proxy: Path) -> None:
    found = explain(both(proxy), time.time() + 7200)
    assert isinstance(found, CredentialExpired)
    assert "expired at 20" in found.reason
    assert str(proxy) in found.reason


def test_a_clock_that_is_behind_is_told(proxy: Path) -> None:
    found = explain(both(proxy), time.time() - 86400)
    assert found is not None
    assert "valid only from" in found.reason
    assert "clock" in found.remedy


@pytest.mark.parametrize("keep", [10, 300, 900])
def test_a_truncated_file_is_told(keep: int, proxy: Path) -> None:
    os.truncate(proxy, keep)
    found = explain(both(proxy))
    assert isinstance(found, BadCredential)
    assert "cut off" in found.reason


def test_a_file_cut_off_in_its_key_is_told(proxy: Path) -> None:
    text = proxy.read_text()
    proxy.write_text(text[: text.index("-----END RSA PRIVATE KEY")])
    found = explain(both(proxy))
    assert isinstance(found, BadCredential)
    assert "no readable private key" in found.reason


def test_a_key_of_somebody_else_is_told(pki: Pki) -> None:
    found = explain(Credential(pki.user.cert_path, pki.host.key_path))
    assert isinstance(found, BadCredential)
    assert "does not belong" in found.reason


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, pki: Pki) -> None:
    for credential in (both(tmp_path), Credential(pki.user.cert_path, str(tmp_path))):
        found = explain(credential)
        assert isinstance(found, BadCredential)
        assert "cannot read" in found.reason
