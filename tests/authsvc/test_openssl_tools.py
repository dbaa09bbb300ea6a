"""`openssl verify` and `openssl crl` as judges of what we make and of what our tests revoke with."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from authsvc.authorities import Authorities, Need, TrustRules
from authsvc.credentials import Credential
from authsvc.errors import BadRevocationList, CertificateRevoked
from tests.authsvc.revoking import HOUR, Revoker, authority, leaf
from tests.helpers.pki import Pki

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("openssl") / "pki")


def verify(pki: Pki, credential: Credential, *options: str) -> str:
    """Return what openssl says of a credential's chain."""
    files = ("-CApath", pki.certificates, "-untrusted", credential.cert_path, credential.cert_path)
    done = subprocess.run(
        ["openssl", "verify", *options, *files], capture_output=True, text=True, timeout=60, check=False
    )
    return "OK" if done.returncode == 0 else done.stderr


def test_openssl_accepts_our_proxies_and_only_when_told_to(own: Pki) -> None:
    second = own.make_proxy("second", own.proxy)
    for proxy in (own.proxy, second, own.make_proxy("limited", second, limited=True)):
        assert verify(own, proxy, "-allow_proxy_certs") == "OK"
        assert "proxy certificates not allowed" in verify(own, proxy)
    bounded = own.make_proxy("bounded", path_length=0)
    assert "path length" in verify(own, own.make_proxy("beyond", bounded), "-allow_proxy_certs")


def test_openssl_and_we_agree_on_a_revoked_user(own: Pki) -> None:
    revoker = Revoker(own)
    chain = [certificate.public_bytes(Encoding.DER) for certificate in (leaf(own.user), authority(own)[0])]
    required = Authorities(own.certificates, TrustRules(crl=Need.REQUIRED))
    now = leaf(own.user).not_valid_before_utc.timestamp() + 600
    try:
        with pytest.raises(BadRevocationList):
            required.judge(chain, now)
        assert "unable to get certificate CRL" in verify(own, own.user, "-crl_check")
        revoker.revoke(leaf(own.host))
        required.judge(chain, now)
        assert verify(own, own.user, "-crl_check") == "OK"
        revoker.revoke(leaf(own.user))
        with pytest.raises(CertificateRevoked):
            required.judge(chain, now)
        assert "certificate revoked" in verify(own, own.user, "-crl_check")
        revoker.write(revoker.make(start=-2 * HOUR, end=-HOUR))
        with pytest.raises(BadRevocationList, match="expired"):
            required.judge(chain, now)
        assert "CRL has expired" in verify(own, own.user, "-crl_check")
        revoker.write(revoker.make(key=own.proxy_key))
        with pytest.raises(BadRevocationList, match="not signed"):
            required.judge(chain, now)
        assert "CRL signature failure" in verify(own, own.user, "-crl_check")
    finally:
        revoker.path.unlink(missing_ok=True)


def test_a_list_of_openssls_own_is_read(own: Pki, tmp_path: Path) -> None:
    """A list as a grid CA makes it: by `openssl ca -gencrl`, from its index of certificates."""
    revoker = Revoker(own)
    serial = f"{leaf(own.user).serial_number:X}"
    serial = serial if len(serial) % 2 == 0 else f"0{serial}"
    (tmp_path / "index.txt").write_text(
        f"R\t391231235959Z\t250101000000Z\t{serial}\tunknown\t/O=fdt-test/CN=Test User\n"
    )
    (tmp_path / "crlnumber").write_text("01\n")
    (tmp_path / "ca.conf").write_text(
        f"[ca]\ndefault_ca = own\n[own]\ndatabase = {tmp_path}/index.txt\ncrlnumber = {tmp_path}/crlnumber\n"
        "default_md = sha256\ndefault_crl_days = 1\ncrl_extensions = ext\n[ext]\nauthorityKeyIdentifier = keyid\n"
    )
    files = ("-cert", f"{revoker.stem}.0", "-keyfile", own.lab.key_path, "-out", str(revoker.path))
    command = ["openssl", "ca", "-gencrl", "-config", str(tmp_path / "ca.conf"), *files]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        told = subprocess.run(
            ["openssl", "crl", "-in", str(revoker.path), "-noout", "-hash"], check=True, capture_output=True, text=True
        )
        assert revoker.stem.endswith(told.stdout.strip())
        chain = [certificate.public_bytes(Encoding.DER) for certificate in (leaf(own.user), authority(own)[0])]
        with pytest.raises(CertificateRevoked, match="2025-01-01"):
            Authorities(own.certificates, TrustRules()).judge(chain, revoker.path.stat().st_mtime + 1)
        host = [certificate.public_bytes(Encoding.DER) for certificate in (leaf(own.host), authority(own)[0])]
        Authorities(own.certificates, TrustRules()).judge(host, revoker.path.stat().st_mtime + 1)
    finally:
        revoker.path.unlink(missing_ok=True)
