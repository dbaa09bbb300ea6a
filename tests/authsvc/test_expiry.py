from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc import chains, expiry
from authsvc.credentials import Credential
from authsvc.errors import CredentialExpired
from tests.helpers.pki import Pki


def test_the_first_end_of_a_chain_is_what_a_library_reads(pki: Pki) -> None:
    for credential in (pki.host, pki.user, pki.make_proxy("deep", pki.proxy, hours=0.5), pki.expired_proxy("gone")):
        library = chains.first_end(chains.read(credential.cert_path)).timestamp()
        assert expiry.first_end(credential.cert_path) == library
    (authority,) = Path(pki.certificates).glob("*.0")
    assert expiry.first_end(str(authority)) == chains.first_end(chains.read(str(authority))).timestamp()


def test_a_warning_comes_in_time_and_an_end_is_an_error(pki: Pki) -> None:
    assert expiry.warning(pki.make_proxy("hour"), time.time()) is None
    soon = expiry.warning(pki.make_proxy("soon", hours=0.1), time.time())
    assert soon is not None
    assert "ends in 5 minutes (" in soon
    assert "grid-proxy-init" in soon
    with pytest.raises(CredentialExpired, match=r"the proxy .* expired at 20"):
        expiry.warning(pki.expired_proxy("over"), time.time())


def test_a_host_certificate_is_told_of_two_weeks_before(pki: Pki) -> None:
    end = expiry.first_end(pki.host.cert_path)
    assert expiry.warning(pki.host, end - 15 * 86400) is None
    soon = expiry.warning(pki.host, end - 10 * 86400)
    assert soon is not None
    assert "the certificate " in soon
    assert "ends in 10 days" in soon
    with pytest.raises(CredentialExpired, match="let its CA issue a new one"):
        expiry.warning(pki.host, end)


@given(st.binary(max_size=300))
def test_what_is_no_certificate_is_left_to_others(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "no-certificate"
    for whole in (content, b"-----BEGIN CERTIFICATE-----\n" + content + b"\n-----END CERTIFICATE-----\n"):
        path.write_bytes(whole)
        assert expiry.warning(Credential(str(path), str(path)), time.time()) is None


def test_it_loads_no_library(pki: Pki) -> None:
    code = f"""
import sys
from authsvc import expiry
expiry.first_end({pki.proxy.cert_path!r})
assert not [name for name in ("cryptography", "OpenSSL", "Pyro5", "asn1crypto") if name in sys.modules]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
