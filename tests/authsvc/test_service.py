from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from authsvc.accountmap import AccountMap
from authsvc.channel import Caller
from authsvc.errors import NotAHost
from authsvc.identity import Identity
from authsvc.service import Service
from fdtcp.errors import ProtocolViolation

HOST = Identity("/O=site/CN=se1", "/O=site/CN=CA", "00", 0, False, time.time() + 1000)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    (tmp_path / "map").write_text("/CN=Alice alice,atlas\n")
    return Service(AccountMap(str(tmp_path / "map")), ["/O=Site/CN=SE1"])


def test_listed_hosts_may_ask_and_get_all_accounts(service: Service) -> None:
    assert service.authorise(HOST, None) == "-"
    answer = service.handler_for(Caller(HOST, "-", "127.0.0.1"))
    assert answer("accounts", {"dn": "/CN=Alice", "fqans": []}) == {"accounts": ["alice", "atlas"]}
    assert answer("accounts", {"dn": "/CN=Bob", "fqans": []}) == {"accounts": []}


def test_others_and_proxies_of_hosts_may_not_ask(service: Service) -> None:
    with pytest.raises(NotAHost, match="/CN=Alice"):
        service.authorise(replace(HOST, dn="/CN=Alice"), None)
    with pytest.raises(NotAHost, match="proxy"):
        service.authorise(replace(HOST, depth=1), None)


def test_nothing_else_can_be_called(service: Service) -> None:
    answer = service.handler_for(Caller(HOST, "-", "127.0.0.1"))
    with pytest.raises(ProtocolViolation):
        answer("passwords", {})
    with pytest.raises(ProtocolViolation):
        answer("accounts", {"dn": 5})
