from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from authsvc.errors import BadCredential, BadTrust, CredentialExpired
from fdtcp.channels import Identity
from fdtcp.errors import Side, Unreachable
from fdtcp.model.pfn import Address
from tests.helpers.clilab import throw_away_identity
from tests.helpers.pki import Pki


@pytest.fixture
def proxy(tmp_path: Path) -> str:
    path = tmp_path / "proxy"
    path.write_text("not a certificate")
    path.chmod(0o600)
    return str(path)


def test_a_missing_proxy_is_the_clients_matter(tmp_path: Path) -> None:
    identity = Identity(str(tmp_path / "none"))
    with pytest.raises(BadCredential):
        identity.find()
    with pytest.raises(BadCredential) as caught:
        identity.open(Side.SOURCE, Address("127.0.0.1", 1), time.monotonic() + 5)
    assert caught.value.side is Side.CLIENT


def test_a_proxy_is_found_where_grid_tools_put_it(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X509_USER_PROXY", proxy)
    assert Identity().find().cert_path == proxy


def test_a_proxy_that_others_can_read_is_refused(proxy: str) -> None:
    os.chmod(proxy, 0o644)
    with pytest.raises(BadCredential, match="open to others"):
        Identity(proxy).find()


def test_authorities_that_are_missing_are_the_clients_matter(tmp_path: Path, proxy: str) -> None:
    with pytest.raises((BadTrust, BadCredential)) as caught:
        Identity(proxy, str(tmp_path / "nowhere")).open(Side.SOURCE, Address("127.0.0.1", 1), time.monotonic() + 5)
    assert caught.value.side is Side.CLIENT


def test_a_host_that_does_not_listen_is_not_the_clients_matter() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with throw_away_identity() as identity, pytest.raises(Unreachable) as caught:
        identity.open(Side.SOURCE, Address("127.0.0.1", port), time.monotonic() + 5)
    assert caught.value.side is None


def test_a_proxy_that_ends_within_minutes_is_told_of_and_an_ended_one_is_refused(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    assert Identity(pki.make_proxy("hours").cert_path).warning() is None
    soon = Identity(pki.make_proxy("minutes", hours=0.1).cert_path).warning()
    assert soon is not None
    assert "ends in 5 minutes" in soon
    with pytest.raises(CredentialExpired):
        Identity(pki.expired_proxy().cert_path).find()
