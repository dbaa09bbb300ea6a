"""All detached jobs of a daemon."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from authsvc.errors import AccountRefused, NotMapped
from fdtcp.contract import Request, SetRate
from fdtcp.detached import FollowReply, Part, Terms, Wanted
from fdtcp.errors import FdtError, OptionRefused, Side
from fdtcp.model.order import DestinationFile, Outcome, Policy, State
from fdtd.detached.job import Owner
from fdtd.detached.jobs import DetachedJobs, Submission
from fdtd.detached.store import StoredJob
from fdtd.errors import DaemonLeaving, StateFailed, StateFull, TooManySessions, UnknownSession
from fdtd.sessions.machine import SessionKey
from fdtd.site.limits import Limit
from tests.helpers.daemons import wait_until
from tests.helpers.detachedroom import ACCOUNT, Room, transfers


class Submitter:
    """Submits as one user, without the desk."""

    def __init__(self, room: Room, dn: str | None = None) -> None:
        self.room = room
        identity = room.caller.identity
        self.owner = Owner(identity if dn is None else replace(identity, dn=dn), ACCOUNT)
        self.dn = self.owner.dn

    def submit(self, name: str, files: int = 2) -> str:
        from authsvc.delegation import Delegated

        delegated = Delegated(b"secret", time.time() + 60, limited=False)
        share = self.room.desks.memory.share(self.dn)
        self.room.jobs.start(self.owner, Submission(name, Terms(Policy()), tuple(transfers(files)), delegated, share))
        return name

    def follow(self, name: str, cursor: int = 0, wait: float = 0.0) -> FollowReply:
        return self.room.jobs.follow(self.dn, name, cursor, wait)

    def wait_ended(self, name: str) -> FollowReply:
        assert wait_until(lambda: self.follow(name, 0, 1.0).ended)
        return self.follow(name)


@pytest.fixture
def me(room: Room) -> Submitter:
    room.pair.sizes = {b"/%d" % n: 10 for n in range(5)}
    return Submitter(room)


def proxies(room: Room) -> list[str]:
    return os.listdir(os.path.join(room.settings.service.state_dir, "proxies"))


def test_a_job_is_followed_to_its_end_and_forgotten(room: Room, me: Submitter) -> None:
    name = me.submit("a" * 32)
    reply = me.wait_ended(name)
    assert [(one.index, one.state) for one in reply.outcomes] == [(0, State.DONE), (1, State.DONE)]
    assert (reply.files, reply.cursor, reply.cancelled) == (2, 2, False)
    assert reply.parts[0].done == 2
    assert room.jobs.recall(me.dn, name, 1) == (Wanted.of(transfers(2)[1]),)
    assert proxies(room) == []
    room.jobs.forget(me.dn, name)
    room.jobs.forget(me.dn, name)
    with pytest.raises(UnknownSession):
        me.follow(name)


def test_a_job_submitted_twice_is_one_job(room: Room, me: Submitter) -> None:
    name = me.submit("a" * 32)
    me.submit(name, files=1)
    assert me.wait_ended(name).files == 2
    me.submit(name)
    assert room.jobs.is_idle


def test_others_see_nothing(room: Room, me: Submitter) -> None:
    name = me.submit("a" * 32)
    other = "/CN=other"
    for ask in (
        lambda: room.jobs.follow(other, name, 0, 0.0),
        lambda: room.jobs.recall(other, name, 0),
        lambda: room.jobs.cancel(other, name),
    ):
        with pytest.raises(UnknownSession):
            ask()
    me.wait_ended(name)
    room.jobs.forget(other, name)
    assert me.follow(name).ended
    # Names are the owners' own.
    Submitter(room, other).submit(name)


def test_each_user_and_all_together_have_so_many(room: Room, me: Submitter) -> None:
    room.pair.is_stalled = True
    me.submit("1" * 32)
    me.submit("2" * 32)
    with pytest.raises(TooManySessions, match="you have 2"):
        me.submit("3" * 32)
    Submitter(room, "/CN=other").submit("4" * 32)
    with pytest.raises(TooManySessions, match="3 detached jobs"):
        Submitter(room, "/CN=third").submit("5" * 32)
    assert len(room.jobs.status()) == 3
    assert len(proxies(room)) == 3


def test_a_cancelled_job_ends_and_says_so(room: Room, me: Submitter) -> None:
    room.pair.is_stalled = True
    name = me.submit("a" * 32)
    room.jobs.cancel(me.dn, name)
    reply = me.wait_ended(name)
    assert reply.cancelled
    assert {one.problem.code for one in reply.outcomes if one.problem} == {"abandoned"}
    room.jobs.cancel(me.dn, name)


def test_a_running_job_changes_its_rate_within_the_sites_limits(room: Room, me: Submitter) -> None:
    room.pair.is_stalled = True
    name = me.submit("a" * 32)
    room.jobs.change_rate(me.dn, name, 700)
    assert wait_until(lambda: room.pair.rate == 700)
    assert wait_until(lambda: SetRate(room.jobs._running[me.dn, name].parts()[0].id, 700, Side.SOURCE) in told(room))
    limits = replace(room.settings.limits, rate_limit=Limit(0, 1000, 0, True))
    room.jobs._settings = replace(room.settings, limits=limits)
    with pytest.raises(OptionRefused):
        room.jobs.change_rate(me.dn, name, 1001)
    with pytest.raises(UnknownSession):
        room.jobs.change_rate("/CN=other", name, 1)
    assert room.pair.rate == 700
    room.jobs.cancel(me.dn, name)
    me.wait_ended(name)
    room.jobs.change_rate(me.dn, name, 1)


def told(room: Room) -> list[Request]:
    return [request for _, request in room.pair.calls]


@pytest.mark.parametrize(
    ("error", "is_stopped"), [(NotMapped("gone"), True), (AccountRefused("no"), True), (StateFailed("later"), False)]
)
def test_who_would_not_be_let_in_any_more_has_no_job_running(
    room: Room, me: Submitter, error: FdtError, is_stopped: bool
) -> None:
    room.pair.is_stalled = True
    name = me.submit("a" * 32)
    room.forbidden.append(error)
    room.jobs.tick(time.monotonic())
    if is_stopped:
        assert {one.problem.code for one in me.wait_ended(name).outcomes if one.problem} == {error.code}
    else:
        assert not me.follow(name, wait=0.2).ended


def test_a_leaving_daemon_ends_its_jobs_and_takes_none(room: Room, me: Submitter) -> None:
    room.pair.is_stalled = True
    name = me.submit("a" * 32)
    room.jobs.leave()
    with pytest.raises(DaemonLeaving):
        me.submit("b" * 32)
    reply = me.wait_ended(name)
    assert {(one.problem.code, one.problem.retryable) for one in reply.outcomes if one.problem} == {
        ("daemon-lost", True)
    }


def test_results_that_nobody_reads_go(room: Room, me: Submitter) -> None:
    name = me.submit("a" * 32)
    me.wait_ended(name)
    room.jobs._settings = replace(room.settings, session=replace(room.settings.session, outcomes_kept=-60.0))
    room.jobs.tick(time.monotonic())
    with pytest.raises(UnknownSession):
        me.follow(name)


def test_what_a_killed_daemon_left_is_put_in_order(room: Room, me: Submitter, tmp_path: Path) -> None:
    job, name = "c" * 32, "a" * 32
    part = Part(job, "moving", 0, 0, 0, 0, 0, 0.0)
    stored = StoredJob(0, me.dn, ACCOUNT, name, time.time(), 0.0, 3, (part,), None, 0.0, cancelled=False)
    room.store.begin(stored, map(Wanted.of, transfers(3)))
    key = SessionKey(me.dn, ACCOUNT, job, Side.DESTINATION)
    session = room.state.open_session(key, time.time())
    room.state.expect(session, [DestinationFile(1, b"/1", 7, 0, 0o644, b"")])
    room.state.record(session, ACCOUNT, 0, [Outcome(1, State.DONE, 7, 7)])
    (tmp_path / "proxies" / "stale.pem").write_text("secret")
    DetachedJobs(room.settings, room.store, lambda *_: None, room.authorise).recover(room.state)  # type: ignore[arg-type]  # nobody is asked
    assert proxies(room) == []
    reply = me.follow(name)
    assert reply.ended
    ends = {one.index: one for one in reply.outcomes}
    assert [ends[index].state for index in range(3)] == [State.FAILED, State.DONE, State.FAILED]
    assert ends[0].problem is not None
    assert (ends[0].problem.code, ends[0].problem.retryable) == ("daemon-lost", True)
    assert (reply.parts[0].done, reply.parts[0].failed, reply.parts[0].moved) == (1, 2, 7)


def test_a_proxy_that_cannot_be_written_starts_nothing(room: Room, me: Submitter, tmp_path: Path) -> None:
    os.rmdir(tmp_path / "proxies")
    with pytest.raises(StateFailed, match="proxies"):
        me.submit("a" * 32)
    assert room.jobs.is_idle
    with pytest.raises(UnknownSession):
        me.follow("a" * 32)


def test_who_has_filled_his_part_of_the_store_submits_nothing_new(room: Room) -> None:
    room.jobs._settings = replace(room.settings, session=replace(room.settings.session, max_state_per_user=100))
    room.pair.sizes = {b"/0": 1, b"/1": 1}
    me = Submitter(room)
    me.submit("a" * 32)
    me.wait_ended("a" * 32)
    with pytest.raises(StateFull):
        me.submit("b" * 32)
    room.jobs.forget(me.dn, "a" * 32)
    me.submit("b" * 32)
    me.wait_ended("b" * 32)
