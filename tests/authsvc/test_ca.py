from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from authsvc import ca
from authsvc.credentials import Credential, check_files
from authsvc.errors import BadCredential, LabCaRefused
from authsvc.identity import proxy_info
from authsvc.proxycert import LIMITED
from tests.helpers.pki import Pki


def openssl(*arguments: str) -> str:
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True).stdout


def test_the_hash_is_openssls(pki: Pki) -> None:
    (name,) = (name for name in os.listdir(pki.certificates) if name.endswith(".0"))
    path = os.path.join(pki.certificates, name)
    assert openssl("x509", "-noout", "-subject_hash", "-in", path).strip() == name.removesuffix(".0")
    assert Path(pki.certificates, name.replace(".0", ".signing_policy")).exists()


def test_the_signing_policy_names_the_ca_and_its_names(pki: Pki) -> None:
    (path,) = Path(pki.certificates).glob("*.signing_policy")
    assert path.read_text() == (
        "access_id_CA X509 '/O=fdt-test/CN=fdt-test CA'\n"
        "pos_rights globus CA:sign\n"
        "cond_subjects globus '\"/O=fdt-test/*\"'\n"
    )


def test_openssl_verifies_hosts_users_and_proxies_of_proxies(pki: Pki) -> None:
    for credential in (pki.host, pki.user):
        assert "OK" in openssl("verify", "-x509_strict", "-CApath", pki.certificates, credential.cert_path)
    second = pki.make_proxy("ca-second", pki.proxy, limited=True).cert_path
    verified = openssl("verify", "-allow_proxy_certs", "-CApath", pki.certificates, "-untrusted", second, second)
    assert "OK" in verified


def test_keys_are_for_their_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        pki = Pki(tmp_path / "open")
        credentials = (pki.host, pki.user, pki.proxy)
    finally:
        os.umask(old)
    for credential in credentials:
        check_files(credential, os.getuid())
        assert stat.S_IMODE(os.stat(credential.key_path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(pki.lab.key_path).st_mode) == 0o600


def test_nothing_is_overwritten_unless_forced(tmp_path: Path) -> None:
    lab = ca.init_ca(str(tmp_path))
    user = ca.issue_user(lab, "Some Body")
    before = Path(user.key_path).read_bytes(), Path(lab.key_path).read_bytes()
    with pytest.raises(LabCaRefused, match="--force"):
        ca.init_ca(str(tmp_path))
    with pytest.raises(LabCaRefused, match="exists already"):
        ca.issue_user(lab, "Some Body")
    assert (Path(user.key_path).read_bytes(), Path(lab.key_path).read_bytes()) == before
    ca.issue_user(lab, "Some Body", force=True)
    assert Path(user.key_path).read_bytes() != before[0]
    assert not list(tmp_path.rglob(".new-*"))


def test_a_forced_new_ca_still_issues(tmp_path: Path) -> None:
    ca.init_ca(str(tmp_path))
    lab = ca.init_ca(str(tmp_path), force=True)
    user = ca.issue_user(lab, "Some Body")
    assert "OK" in openssl("verify", "-CApath", lab.certificates, user.cert_path)


def test_without_a_ca_the_command_that_makes_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(LabCaRefused, match=f"authsvc ca init {tmp_path}"):
        ca.issue_user(ca.LabCa(str(tmp_path)), "x")


@pytest.mark.parametrize("name", ["", "a/CN=b", "a\nb", "x" * 65])
def test_names_that_nobody_would_accept_are_not_made(name: str, pki: Pki) -> None:
    with pytest.raises(LabCaRefused):
        pki.make_user(name)


def test_a_file_name_cannot_leave_the_directory(pki: Pki) -> None:
    made = pki.make_user("../../etc/passwd")
    assert os.path.dirname(made.cert_path) == os.path.join(pki.directory, "users")


def test_a_host_name_must_be_one(pki: Pki) -> None:
    with pytest.raises(LabCaRefused, match="neither a host name nor an address"):
        pki.make_host("fine.example.org", ["zoë.example.org"])


def test_a_proxy_of_a_limited_proxy_is_limited(pki: Pki) -> None:
    limited = pki.make_proxy("ca-limited", limited=True)
    chain, _ = ca.load(pki.make_proxy("ca-below", limited))
    info = proxy_info(chain[0])
    assert info is not None
    assert info.language == LIMITED


def test_a_new_proxy_replaces_an_old_one_and_nothing_else(pki: Pki, tmp_path: Path) -> None:
    out = tmp_path / "proxy"
    ca.issue_proxy(pki.user, str(out), key=pki.proxy_key)
    first = out.read_bytes()
    ca.issue_proxy(pki.user, str(out), key=pki.proxy_key)
    assert out.read_bytes() != first
    for precious in (Path(pki.user.cert_path), Path(pki.user.key_path), Path(pki.lab.key_path)):
        before = precious.read_bytes()
        with pytest.raises(LabCaRefused, match="is no proxy"):
            ca.issue_proxy(pki.user, str(precious), key=pki.proxy_key)
        assert precious.read_bytes() == before


def test_a_proxy_does_not_outlive_its_chain(pki: Pki) -> None:
    short = pki.make_proxy("ca-short", hours=0.5)
    chain, _ = ca.load(pki.make_proxy("ca-long", short, hours=12))
    assert chain[0].not_valid_after_utc == chain[1].not_valid_after_utc


def test_an_ended_credential_makes_no_proxies(pki: Pki) -> None:
    with pytest.raises(BadCredential, match="ended at"):
        pki.make_proxy("ca-never", pki.expired_proxy("ca-expired"))


def test_a_proxy_file_has_certificate_key_chain_in_this_order(pki: Pki) -> None:
    text = Path(pki.proxy.cert_path).read_text()
    kinds = [line.strip("-") for line in text.splitlines() if line.startswith("-----BEGIN")]
    assert kinds == ["BEGIN CERTIFICATE", "BEGIN RSA PRIVATE KEY", "BEGIN CERTIFICATE"]


def test_what_cannot_be_loaded_is_named(tmp_path: Path, pki: Pki) -> None:
    with pytest.raises(BadCredential, match="cannot read"):
        ca.load(Credential(str(tmp_path / "none"), pki.user.key_path))
    junk = tmp_path / "junk"
    junk.write_text("no PEM")
    with pytest.raises(BadCredential, match="junk"):
        ca.load(Credential(str(junk), str(junk)))


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(LabCaRefused):
        ca.write_file(str(target), b"new", 0o600, force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert target.read_text() == "old"
