from __future__ import annotations

from pathlib import Path

import pytest

from authsvc import chains
from authsvc.errors import BadCredential, CredentialRefused
from tests.helpers.pki import Pki


def test_a_proxy_is_verified_up_to_its_ca(pki: Pki) -> None:
    proxy = pki.make_proxy("two", pki.make_proxy("one"))
    chain = chains.read(proxy.cert_path)
    whole = chains.verify(chain, pki.certificates)
    assert [len(chain), len(whole)] == [3, 4]
    assert chains.first_end(whole) == chain[0].not_valid_after_utc


def test_other_cas_and_ended_proxies_do_not_hold(pki: Pki, tmp_path: Path) -> None:
    stranger = Pki(tmp_path / "other", organisation=pki.organisation)
    with pytest.raises(CredentialRefused, match="Test User"):
        chains.verify(chains.read(stranger.user.cert_path), pki.certificates)
    with pytest.raises(CredentialRefused, match="expired"):
        chains.verify(chains.read(pki.expired_proxy("past").cert_path), pki.certificates)
    with pytest.raises(CredentialRefused):
        chains.verify(chains.read(pki.user.cert_path), str(tmp_path / "nowhere"))


def test_what_holds_no_certificate_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(BadCredential, match="No such file"):
        chains.read(str(path))
    path.write_text("nothing")
    with pytest.raises(BadCredential, match="no readable certificate"):
        chains.read(str(path))
