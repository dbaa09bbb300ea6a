"""One connection's calls about detached jobs."""

from __future__ import annotations

import gc
import time
from dataclasses import replace
from typing import Any

import pytest

from authsvc import delegation
from authsvc.delegation import Delegation
from authsvc.errors import DelegationRefused
from authsvc.identity import IdentityRules
from authsvc.tokens import Grant
from fdtcp.detached import (
    Cancel,
    ChangeRate,
    DelegateBegin,
    DelegateBeginReply,
    DelegateFinish,
    DelegateFinishReply,
    Follow,
    Forget,
    Recall,
    Reply,
    Request,
    Submit,
    Terms,
    Wanted,
    decode_reply,
    encode_request,
)
from fdtcp.errors import BadCopyjob, FdtError, OptionRefused, ProtocolViolation
from fdtcp.model.order import Policy
from fdtd.detached.desk import Call
from fdtd.detached.pace import Pace
from fdtd.errors import DelegatingTooFast, MemoryFull, UnknownSession
from fdtd.site.config import DetachedSettings
from fdtd.site.memory import Memory
from tests.helpers.daemons import wait_until
from tests.helpers.detachedroom import Room, transfers

JOB = "a" * 32
TERMS = Terms(Policy())
FILES = tuple(map(Wanted.of, transfers(2)))


def ask(desk: Call, request: Request) -> Any:  # Any: the test knows which reply it is
    reply: Reply = decode_reply(request, desk(*encode_request(request)))
    return reply


def delegated(room: Room) -> Call:
    """Return a desk at which a proxy has been delegated."""
    desk = room.desk()
    begun = ask(desk, DelegateBegin(JOB))
    assert isinstance(begun, DelegateBeginReply)
    finished = ask(desk, DelegateFinish(JOB, tuple(delegation.sign(begun.request, room.pki.proxy, hours=0.5))))
    assert isinstance(finished, DelegateFinishReply)
    assert time.time() + 1700 < finished.not_after < time.time() + 1801
    return desk


def test_a_submission_in_two_chunks_becomes_a_job(room: Room) -> None:
    room.pair.sizes = {b"/0": 1, b"/1": 1}
    desk = delegated(room)
    ask(desk, Submit(JOB, TERMS, 0, FILES[:1], last=False))
    assert 0 < room.desks.memory.taken() < 2000
    ask(desk, Submit(JOB, TERMS, 1, FILES[1:], last=True))
    assert wait_until(lambda: room.desks.memory.taken() == 0)  # with the job's end
    # The answer may have been lost: the same client asks again, also over another connection.
    for again in (desk, room.desk()):
        ask(again, Submit(JOB, TERMS, 1, FILES[1:], last=True))
    assert wait_until(lambda: ask(room.desk(), Follow(JOB, 0, 1.0)).ended)
    assert ask(room.desk(), Recall(JOB, 0)).files == FILES
    ask(room.desk(), ChangeRate(JOB, 1))
    ask(room.desk(), Cancel(JOB))
    ask(room.desk(), Forget(JOB))
    with pytest.raises(UnknownSession):
        ask(room.desk(), Cancel(JOB))


def test_other_calls_go_where_they_went_before(room: Room) -> None:
    assert room.desk()("about", {}) == {"ordinary": "about"}


def test_what_is_half_submitted_goes_with_its_connection(room: Room) -> None:
    desk = delegated(room)
    ask(desk, Submit(JOB, TERMS, 0, FILES, last=False))
    assert room.desks.memory.taken() > 0
    del desk
    gc.collect()
    assert room.desks.memory.taken() == 0
    with pytest.raises(UnknownSession):
        ask(room.desk(), Follow(JOB, 0, 0.0))


def test_without_a_proxy_delegated_on_this_connection_nothing_is_submitted(room: Room) -> None:
    delegated(room)  # on another connection
    with pytest.raises(DelegationRefused):
        ask(room.desk(), Submit(JOB, TERMS, 0, FILES, last=True))
    desk = delegated(room)
    with pytest.raises(DelegationRefused, match="same connection"):
        ask(desk, Submit("b" * 32, TERMS, 0, FILES, last=True))
    with pytest.raises(DelegationRefused, match="another job"):
        ask(desk, DelegateFinish("b" * 32, (b"x", b"y")))


def test_a_token_does_not_delegate(room: Room) -> None:
    limited = replace(room.caller, grant=Grant("https://issuer", "me", (b"/",), (b"/",), time.time() + 60))
    with pytest.raises(DelegationRefused, match="token"):
        ask(room.desk(limited), DelegateBegin(JOB))


def test_a_site_may_have_no_detached_jobs(room: Room) -> None:
    room.jobs._settings = replace(room.settings, detached=DetachedSettings(allowed=False))
    with pytest.raises(OptionRefused, match="takes no detached jobs"):
        ask(room.desk(), DelegateBegin(JOB))


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (Submit(JOB, TERMS, 1, FILES, last=True), ProtocolViolation),
        (Submit(JOB, TERMS, 0, (), last=True), ProtocolViolation),
        (Submit(JOB, TERMS, 0, FILES[:1] * 1001, last=True), ProtocolViolation),
        (Submit(JOB, TERMS, 0, FILES[:1] * 2, last=True), BadCopyjob),
        (Submit(JOB, TERMS, 0, (Wanted(b"/etc/passwd", FILES[0].destination, False),), last=True), FdtError),
        (Submit(JOB, TERMS, 0, (*FILES, Wanted(FILES[0].source, b"fdt://x/y", False)), last=True), ProtocolViolation),
        (
            Submit(JOB, TERMS, 0, tuple(Wanted(b"fdt://s%d/x" % n, b"fdt://d/%d" % n, False) for n in range(33)), True),
            OptionRefused,
        ),
        (Submit(JOB, replace(TERMS, contact=float("nan")), 0, FILES, last=True), ProtocolViolation),
        (Submit(JOB, replace(TERMS, contact=-1.0), 0, FILES, last=True), OptionRefused),
        (Submit(JOB, replace(TERMS, source_addresses=("192.0.2.1",) * 65), 0, FILES, last=True), OptionRefused),
        (Submit("../../x", TERMS, 0, FILES, last=True), ProtocolViolation),
        (Follow(JOB, -1, 0.0), ProtocolViolation),
        (Recall(JOB, -1), ProtocolViolation),
        (Follow("b" * 32, 0, 0.0), UnknownSession),
    ],
)
def test_malformed_requests_start_nothing(room: Room, request_: Request, error: type[FdtError]) -> None:
    desk = delegated(room)
    with pytest.raises(error):
        ask(desk, request_)
    assert room.jobs.status() == []


def test_terms_do_not_change_on_the_way(room: Room) -> None:
    desk = delegated(room)
    ask(desk, Submit(JOB, TERMS, 0, FILES[:1], last=False))
    with pytest.raises(ProtocolViolation, match="terms"):
        ask(desk, Submit(JOB, replace(TERMS, contact=3.0), 1, FILES[1:], last=True))


def test_memory_for_submissions_is_bounded(room: Room) -> None:
    room.desks.memory = Memory(3000, 2500)
    first, second = delegated(room), delegated(room)
    ask(first, Submit(JOB, TERMS, 0, FILES, last=False))
    with pytest.raises(MemoryFull, match="one user") as caught:
        ask(second, Submit(JOB, TERMS, 0, FILES, last=False))
    assert caught.value.retryable
    # Beginning anew gives back what had been handed over.
    ask(first, DelegateBegin(JOB))
    ask(second, Submit(JOB, TERMS, 0, FILES, last=False))


def test_long_names_count(room: Room) -> None:
    room.desks.memory = Memory(1 << 20, 1 << 20)
    desk = delegated(room)
    long = tuple(Wanted(b"fdt://s/%04000d" % n, b"fdt://d/%04000d" % n, True) for n in range(100))
    with pytest.raises(MemoryFull):
        ask(desk, Submit(JOB, TERMS, 0, long, last=False))
    ask(desk, Submit(JOB, TERMS, 0, FILES, last=False))


def test_a_user_gets_keys_at_a_pace_on_all_connections_together(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.desks._pace = Pace(3, 3600.0)
    one, other = room.desk(), room.desk()
    made: list[Delegation] = []

    def begin(of: Delegation) -> bytes:
        made.append(of)
        return b"request"

    monkeypatch.setattr("fdtd.detached.desk.Delegation.begin", begin)
    for desk in (one, other, one):
        ask(desk, DelegateBegin(JOB))
    for desk in (one, other, room.desk()):
        with pytest.raises(DelegatingTooFast, match="3600 s") as caught:
            ask(desk, DelegateBegin(JOB))
        assert caught.value.retryable
    assert len(made) == 3
    stranger = replace(room.caller, identity=replace(room.caller.identity, dn="/CN=somebody else"))
    ask(room.desk(stranger), DelegateBegin(JOB))


def test_a_proxy_that_the_site_would_not_let_in_is_not_delegated_to_it(room: Room) -> None:
    room.desks.rules = IdentityRules(max_proxies=room.caller.identity.depth)
    desk = room.desk()
    begun = ask(desk, DelegateBegin(JOB))
    with pytest.raises(DelegationRefused, match="not acceptable"):
        ask(desk, DelegateFinish(JOB, tuple(delegation.sign(begun.request, room.pki.proxy, hours=0.5))))


@pytest.mark.parametrize("request_", [Follow(JOB, 0, 0.0), Recall(JOB, 0), Cancel(JOB), Forget(JOB)])
def test_a_token_is_no_way_to_a_job_that_was_submitted_without_it(room: Room, request_: Request) -> None:
    limited = replace(room.caller, grant=Grant("https://issuer", "me", (b"/",), (b"/",), time.time() + 60))
    with pytest.raises(DelegationRefused, match="token"):
        ask(room.desk(limited), request_)
