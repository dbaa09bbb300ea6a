"""All sessions of a daemon."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import pytest

from fdtcp.errors import Side
from fdtcp.model.order import SetRate, State
from fdtd.errors import DaemonLeaving, SessionOver, StateFull, TooManySessions
from tests.fdtd.conftest import RigMaker, file
from tests.helpers.daemons import wait_until

LONG = 15.0


def test_a_key_has_one_session(make_rig: RigMaker) -> None:
    rig = make_rig("obedient")
    key = rig.key()
    assert rig.open(key=key) is rig.open(key=key)


def test_other_owners_and_the_other_side_have_sessions_of_their_own(make_rig: RigMaker) -> None:
    rig = make_rig("obedient")
    job = "a" * 32
    mine = rig.open(key=rig.key(job=job))
    assert rig.open(key=rig.key(job=job, dn="/CN=other")) is not mine
    assert rig.open(key=rig.key(Side.SOURCE, job=job)) is not mine


def test_sessions_are_limited_in_all_and_for_each_user(make_rig: RigMaker) -> None:
    rig = make_rig("obedient", max_sessions=3, max_sessions_per_user=2)
    rig.open()
    mine = rig.open()
    with pytest.raises(TooManySessions, match="you have 2"):
        rig.open()
    rig.open(key=rig.key(dn="/CN=other"))
    with pytest.raises(TooManySessions, match="all 3"):
        rig.open(key=rig.key(dn="/CN=third"))
    mine.abort(False)
    assert mine.wait_ended(LONG)
    rig.open()


def test_a_leaving_daemon_opens_nothing_new_but_keeps_what_it_has(make_rig: RigMaker) -> None:
    rig = make_rig("obedient")
    key = rig.key()
    live = rig.open(key=key)
    rig.registry.leave()
    assert rig.open(key=key) is live
    with pytest.raises(DaemonLeaving):
        rig.open()


def test_an_ended_session_is_answered_from_the_file_until_it_is_finished(make_rig: RigMaker) -> None:
    rig = make_rig("committer", client_grace=0.3)
    live = rig.open()
    live.expect([file(0)], {}, True)
    live.listen(())
    assert live.wait_ended(LONG)
    assert wait_until(lambda: rig.registry.find(live.key) is None)
    reply = rig.registry.watch_stored(live.key, 0, 0.0)
    assert reply is not None and reply.ended
    assert [one.state for one in reply.outcomes] == [State.DONE]
    with pytest.raises(SessionOver):
        rig.open(key=live.key)
    rig.registry.forget_stored(live.key)
    assert rig.registry.watch_stored(live.key, 0, 0.0) is None


def test_a_finished_session_is_forgotten(make_rig: RigMaker) -> None:
    rig = make_rig("committer")
    live = rig.open()
    live.expect([file(0)], {}, True)
    live.listen(())
    assert live.wait_ended(LONG)
    live.finish()
    assert wait_until(lambda: rig.registry.find(live.key) is None)
    assert rig.state.find(live.key) is None


def test_a_new_attempt_takes_over_an_orphaned_session(make_rig: RigMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fdtd.live.registry.ORPHAN_S", 0.5)
    rig = make_rig("obedient")
    orphan = rig.open()
    orphan.expect([file(0)], {}, True)
    rig.registry.take_over(rig.key(), [file(5, b"/d/f0")])  # from another source: not the same transfer
    assert rig.registry.running() == [orphan]
    rig.registry.take_over(rig.key(), [file(0)])
    assert rig.registry.running() == []


def test_memory_tests_are_not_taken_over(make_rig: RigMaker) -> None:
    rig = make_rig("obedient")
    orphan = rig.open()
    orphan.expect([file(0, b"/dev/null")], {}, True)
    rig.registry.take_over(rig.key(), [file(0, b"/dev/null")])
    assert rig.registry.running() == [orphan]


def test_a_session_whose_client_lives_is_not_taken_over(make_rig: RigMaker) -> None:
    rig = make_rig("obedient")
    busy = rig.open()
    busy.expect([file(0)], {}, True)
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(rig.registry.take_over, rig.key(), [file(0)])
        while not taken.done():
            busy.watch(0, 0.05)
        taken.result()
    assert rig.registry.running() == [busy]


def test_nobody_takes_over_what_belongs_to_others(make_rig: RigMaker) -> None:
    rig = make_rig("obedient")
    theirs = rig.open(key=rig.key(dn="/CN=other"))
    theirs.expect([file(0)], {}, True)
    rig.registry.take_over(rig.key(), [file(0)])
    assert not theirs.is_ended


def test_the_hosts_rate_is_dealt_anew_when_a_job_begins_or_ends(make_rig: RigMaker) -> None:
    rig = make_rig("obedient")
    rig.registry.set_total_rate(900)
    first = rig.open()
    other_way = rig.open(Side.SOURCE)
    assert [live.session.throttle.rate for live in (first, other_way)] == [900, 900]
    second = rig.open()
    assert [live.session.throttle.rate for live in (first, second)] == [450, 450]
    first.set_limit(100)
    assert wait_until(lambda: second.session.throttle.rate == 800)
    assert first.watch(0, 0.0).rate == 100
    second.abort(False)
    first.set_limit(0)
    assert wait_until(lambda: first.session.throttle.rate == 900)
    rig.registry.set_total_rate(0)
    assert (first.session.throttle.rate, first.watch(0, 0.0).rate) == (0, 0)
    assert [live.status(0.0)["rate_limit"] for live in rig.registry.running()] == [0, 0]


def test_a_mover_has_its_share_from_its_first_order_on(make_rig: RigMaker) -> None:
    rig = make_rig("obedient")
    rig.registry.set_total_rate(900)
    live = rig.open()
    with patch.object(live, "_mover") as mover:
        rig.registry.set_total_rate(300)
        live.set_limit(200)
    assert [call.args[0] for call in mover.send.call_args_list] == [SetRate(300), SetRate(200)]


def test_a_bug_in_one_session_ends_that_one_only(
    make_rig: RigMaker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rig = make_rig("obedient", ticking=False)
    bad, good = rig.open(), rig.open()

    def fail(_now: float) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(bad, "tick", fail)
    rig.registry.tick(0.0)
    assert rig.registry.all() == [good]
    assert bad.wait_ended(20.0)
    assert "event=session-failed" in caplog.text
    with pytest.raises(SessionOver):
        rig.open(key=bad.key)


def test_who_has_filled_his_part_of_the_state_file_opens_nothing_new(make_rig: RigMaker) -> None:
    rig = make_rig("obedient", max_state_per_user=100)
    first = rig.open()
    first.expect([file(index) for index in range(10)], {}, False)
    with pytest.raises(StateFull) as caught:
        rig.open()
    assert caught.value.retryable
    first.expect([file(10)], {}, True)  # what is open goes on
    rig.open(key=rig.key(dn="/CN=somebody else"))
    first.abort(False)
    assert first.wait_ended(20.0)
    first.finish()
    assert wait_until(lambda: first not in rig.registry.all())
    rig.open()
