"""Handing a job over, to a real room for detached jobs in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from authsvc.errors import ChannelLost
from fdtcp.detached import Terms
from fdtcp.errors import RemoteProblem, Side, UsageError
from fdtcp.handover import ATTEMPTS, check_one_destination, hand_over, renew
from fdtcp.model.options import Options
from fdtcp.model.pfn import Pfn
from fdtcp.model.ticket import Ticket
from fdtcp.model.transfer import Transfer
from tests.helpers.daemons import wait_until
from tests.helpers.detachedroom import DeskChannel, Room, detached_room, transfers
from tests.helpers.fakedaemons import FakePair
from tests.helpers.pki import Pki


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def room(pki: Pki, tmp_path: Path) -> Iterator[Room]:
    with detached_room(pki, tmp_path) as made:
        yield made


def lose(monkeypatch: pytest.MonkeyPatch, name: str, times: int, *, after: bool) -> list[str]:
    """Lose the connection in the first calls of that name: before or after they were carried out."""
    lost: list[str] = []
    call = DeskChannel.call

    def losing(channel: DeskChannel, called: str, argument: dict[str, Any], timeout: float) -> dict[str, Any]:
        is_lost = called == name and len(lost) < times
        if is_lost and not after:
            lost.append(called)
            raise ChannelLost("gone")
        answer = call(channel, called, argument, timeout)
        if is_lost:
            lost.append(called)
            raise ChannelLost("gone")
        return answer

    monkeypatch.setattr(DeskChannel, "call", losing)
    return lost


def test_a_job_of_many_files_goes_over_whole(room: Room) -> None:
    ticket, not_after = hand_over(transfers(2500), Options(), room.me, hours=0.5, contact=5.0)
    assert ticket.address == transfers(1)[0].destination.address
    assert time.time() + 1700 < not_after < time.time() + 1801
    stored = room.store.find(room.caller.identity.dn, ticket.job)
    assert stored is not None
    assert stored.files == 2500
    assert [one.source for one in room.store.wanted(stored.id, 0, 3000)] == [t.source.text for t in transfers(2500)]
    assert wait_until(lambda: room.jobs.is_idle)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", ["delegate_begin", "delegate_finish", "submit"])
def test_a_lost_connection_makes_neither_two_jobs_nor_none(
    room: Room, monkeypatch: pytest.MonkeyPatch, name: str, after: bool
) -> None:
    lost = lose(monkeypatch, name, 1, after=after)
    ticket, _ = hand_over(transfers(2), Options(), room.me, hours=0.5, contact=5.0)
    assert lost == [name]
    assert room.opened == 2
    rows = room.store.rows("SELECT job FROM jobs", ())
    assert rows == [(ticket.job,)]


def test_a_connection_that_breaks_each_time_has_a_reason(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, "submit", 99, after=False)
    with pytest.raises(ChannelLost):
        hand_over(transfers(1), Options(), room.me, hours=0.5, contact=5.0)
    assert room.opened == ATTEMPTS
    assert room.store.rows("SELECT job FROM jobs", ()) == []


def test_a_refusal_is_final(room: Room) -> None:
    room.jobs.refuse_new()
    with pytest.raises(RemoteProblem, match="leaving"):
        hand_over(transfers(1), Options(), room.me, hours=0.5, contact=5.0)
    assert room.opened == 1


def test_accounts_and_names_of_hosts_go_along(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.accounts = {Side.SOURCE: "atlas"}
    room.peers = {"source.example": "/CN=source", "elsewhere.example": "/CN=x"}
    seen: list[Any] = []

    def note(*facts: object) -> FakePair:
        seen.extend(facts)
        return room.pair

    monkeypatch.setattr("fdtd.detached.jobs.Openings", note)
    hand_over(transfers(1), Options(), room.me, hours=0.5, contact=7.0)
    (terms,) = [fact for fact in seen if isinstance(fact, Terms)]
    assert (terms.source_account, terms.contact) == ("atlas", 7.0)
    assert [(one.host, one.dn) for one in terms.peers] == [("source.example", "/CN=source")]


def test_a_job_has_one_destination() -> None:
    other = Transfer(Pfn.parse(b"fdt://a/1"), Pfn.parse(b"fdt://b/1"))
    check_one_destination(transfers(3))
    with pytest.raises(UsageError, match="2 are named"):
        check_one_destination([*transfers(1), other])


def test_a_running_job_gets_another_proxy(room: Room) -> None:
    room.pair.is_stalled = True
    room.pair.sizes = {b"/0": 1}
    ticket, first = hand_over(transfers(1), Options(), room.me, hours=0.1, contact=5.0)
    second = renew(ticket, room.me, hours=0.5, contact=5.0)
    assert second > first + 1000
    stored = room.store.find(room.caller.identity.dn, ticket.job)
    assert stored is not None
    assert stored.not_after == second
    room.jobs.cancel(room.caller.identity.dn, ticket.job)
    assert wait_until(lambda: room.jobs.is_idle)
    renew(ticket, room.me, hours=0.5, contact=5.0)  # it has ended and needs none
    assert not list(Path(room.settings.service.state_dir, "proxies").iterdir())


def test_only_a_job_that_is_there_gets_another_proxy(room: Room) -> None:
    with pytest.raises(RemoteProblem, match="no detached job"):
        renew(Ticket("b" * 32, transfers(1)[0].destination.address), room.me, hours=0.5, contact=5.0)
