"""The daemon's side, against a real `authsvc serve` that is stopped, frozen and started again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from authsvc import service_client
from authsvc.errors import AccountsUnknown
from authsvc.service import Asked
from authsvc.service_client import SiteAccounts
from fdtcp.errors import RemoteProblem, Unreachable
from tests.helpers.accountservice import HOST, AccountService
from tests.helpers.daemons import wait_until
from tests.helpers.pki import Pki

ALICE, BOB = Asked("/CN=Alice", ()), Asked("/CN=Bob", ("/cms",))


@pytest.fixture
def service(pki: Pki, tmp_path: Path) -> Iterator[AccountService]:
    with AccountService(tmp_path, pki, callers=(f"/O={pki.organisation}/CN=localhost",)) as one:
        one.gridmap.write_text("/CN=Alice alice,atlas\n")
        one.fqanmap.write_text("/cms cms001\n")
        yield one


def site(service: AccountService, pki: Pki, *, fresh: float = 60.0, stale: float = 600.0) -> SiteAccounts:
    return SiteAccounts(HOST, service.port, pki.host, pki.certificates, fresh_s=fresh, stale_s=stale)


def test_accounts_come_from_the_service_by_dn_and_by_fqan(service: AccountService, pki: Pki) -> None:
    accounts = site(service, pki)
    accounts.check()
    assert accounts.accounts_of(ALICE) == ("alice", "atlas")
    assert accounts.accounts_of(BOB) == ("cms001",)
    assert accounts.accounts_of(Asked("/CN=Bob", ())) == ()
    assert "dn='/CN=Alice' fqans=() accounts=alice,atlas" in service.log()


def test_a_young_answer_is_used_without_asking_and_an_old_one_is_asked_for_again(
    service: AccountService, pki: Pki
) -> None:
    lasting, fleeting = site(service, pki), site(service, pki, fresh=0.0)
    assert lasting.accounts_of(ALICE) == fleeting.accounts_of(ALICE) == ("alice", "atlas")
    service.gridmap.write_text("/CN=Alice carol\n")
    assert lasting.accounts_of(ALICE) == ("alice", "atlas")
    assert fleeting.accounts_of(ALICE) == ("carol",)


def test_while_the_service_is_away_old_answers_count_and_strangers_are_refused_until_it_is_back(
    service: AccountService, pki: Pki, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service_client, "PAUSE_S", 0.0)
    accounts, short = site(service, pki, fresh=0.0), site(service, pki, fresh=0.0, stale=0.0)
    assert accounts.accounts_of(ALICE) == ("alice", "atlas")
    service.stop()
    assert accounts.accounts_of(ALICE) == ("alice", "atlas")
    with pytest.raises(AccountsUnknown, match="does not answer, and nothing is known of /CN=Bob"):
        accounts.accounts_of(BOB)
    with pytest.raises(AccountsUnknown):
        short.accounts_of(ALICE)
    assert caplog.text.count("event=service-away") == 2  # once for each of the two
    service.start()
    assert accounts.accounts_of(BOB) == ("cms001",)
    assert "event=service-back" in caplog.text


def test_a_service_that_hangs_costs_one_caller_two_seconds_and_the_others_nothing(
    service: AccountService, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_client, "ASK_S", 0.5)
    accounts = site(service, pki, fresh=0.0)
    assert accounts.accounts_of(ALICE) == ("alice", "atlas")
    service.freeze()
    try:
        began = time.monotonic()
        assert accounts.accounts_of(ALICE) == ("alice", "atlas")
        assert 0.4 < time.monotonic() - began < 3.0
        began = time.monotonic()
        for _ in range(100):
            assert accounts.accounts_of(ALICE) == ("alice", "atlas")
            with pytest.raises(AccountsUnknown):
                accounts.accounts_of(BOB)
        assert time.monotonic() - began < 0.4
    finally:
        service.thaw()


def test_many_connections_of_one_caller_ask_once(service: AccountService, pki: Pki) -> None:
    asked = Asked("/CN=Crowd", ())
    service.gridmap.write_text("/CN=Crowd crowd\n")
    accounts = site(service, pki)
    answers: list[tuple[str, ...]] = []
    threads = [threading.Thread(target=lambda: answers.append(accounts.accounts_of(asked))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert answers == [("crowd",)] * 20
    assert service.log().count("/CN=Crowd") == 1


def test_who_does_not_wait_gets_what_is_known_and_the_answer_comes_by_itself(service: AccountService, pki: Pki) -> None:
    accounts = site(service, pki, fresh=0.0)
    with pytest.raises(AccountsUnknown):
        accounts.accounts_of(ALICE, wait=False)
    assert wait_until(lambda: bool(accounts._known))
    service.freeze()
    began = time.monotonic()
    assert accounts.accounts_of(ALICE, wait=False) == ("alice", "atlas")
    assert time.monotonic() - began < 0.2
    service.thaw()
    assert wait_until(lambda: not accounts._asking)


def test_nobody_is_no_lasting_answer(service: AccountService, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_client, "NOBODY_S", 0.0)
    accounts = site(service, pki)
    stranger = Asked("/CN=Stranger", ())
    with pytest.raises(AccountsUnknown):
        accounts.accounts_of(stranger)
    service.gridmap.write_text("/CN=Stranger newcomer\n")
    assert accounts.accounts_of(stranger) == ("newcomer",)


def test_who_is_no_host_of_the_site_gets_no_answers(service: AccountService, pki: Pki) -> None:
    stranger = SiteAccounts(HOST, service.port, pki.user, pki.certificates, fresh_s=60, stale_s=60)
    with pytest.raises(AccountsUnknown):
        stranger.accounts_of(ALICE)
    with pytest.raises(RemoteProblem, match="not a host that may ask here"):
        stranger.check()


def test_the_check_of_a_service_that_is_not_there_names_the_service_and_not_fdtd(
    service: AccountService, pki: Pki
) -> None:
    service.stop()
    with pytest.raises(Unreachable, match="account service") as refused:
        site(service, pki).check()
    assert "authsvc serve" in refused.value.remedy


def test_memory_is_bounded(service: AccountService, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_client, "MAX_ANSWERS", 2)
    accounts = site(service, pki)
    for number in range(4):
        accounts.accounts_of(Asked(f"/CN={number}", ()))
    assert len(accounts._known) == 2
