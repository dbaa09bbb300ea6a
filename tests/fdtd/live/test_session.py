"""A session with a mover in a process of its own."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from fdtcp.errors import Phase, Side
from fdtcp.model.order import Action, Endpoint, Policy, ReleasedFile, State
from fdtd.errors import MemoryFull, MoverNotStarted, SessionOver
from fdtd.live.session import LiveSession
from fdtd.processes.launcher import Launcher
from fdtd.site.config import AccountSettings
from tests.fdtd.conftest import RigMaker, file, source
from tests.helpers.daemons import wait_until

HERE = Endpoint("127.1.0.2", 50000)
LONG = 15.0


def pid_of(live: LiveSession) -> int:
    pid = live.status(time.monotonic())["pid"]
    assert isinstance(pid, int)
    return pid


def test_a_destination_answers_from_expect_to_the_last_outcome(make_rig: RigMaker) -> None:
    rig = make_rig("committer")
    live = rig.open()
    verdicts = live.expect([file(0), file(1)], {}, True)
    assert [verdict.action for verdict in verdicts] == [Action.SEND, Action.SEND]
    reply = live.listen(())
    assert reply.endpoints == (HERE,)
    assert len(reply.secret) == 32
    assert live.wait_ended(LONG)
    first = live.watch(0, 1.0)
    assert [one.state for one in first.outcomes] == [State.DONE, State.DONE]
    assert first.ended and first.cursor == 2 and first.problem is None
    assert live.watch(2, 1.0).outcomes == ()
    assert rig.state.outcomes(live.number, 0, 10) == list(first.outcomes)


def test_the_secret_of_a_writer_that_has_ended_is_not_given_out_empty(make_rig: RigMaker) -> None:
    rig = make_rig("committer")
    live = rig.open()
    live.expect([file(0)], {}, True)
    assert len(live.listen(()).secret) == 32
    assert live.wait_ended(LONG)
    with pytest.raises(SessionOver):
        live.listen(())


def test_listen_twice_gives_the_same_answer_and_the_port_is_leased_once(make_rig: RigMaker) -> None:
    rig = make_rig("obedient")
    live = rig.open()
    live.expect([file(0)], {}, True)
    assert live.listen(()) == live.listen(())
    assert rig.ports.held() == {HERE: live.key.job}
    live.abort(False)
    assert live.wait_ended(LONG)
    assert rig.ports.held() == {}


def test_a_source_answers_and_ends_when_all_is_released(make_rig: RigMaker) -> None:
    live = make_rig("obedient").open(Side.SOURCE)
    found = live.describe([source(0), source(1)], {})
    assert live.describe([source(1), source(0)], {}) == (found[1], found[0])
    live.connect((HERE,), b"s" * 32)
    live.release([ReleasedFile(0, Action.SEND), ReleasedFile(1, Action.SEND)], True)
    assert live.wait_ended(LONG)
    reply = live.watch(0, 1.0)
    assert reply.ended and reply.problem is None


def test_who_may_not_be_become_by_sudo_hears_of_it(make_rig: RigMaker, tmp_path: Path) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text("#!/bin/sh\necho sudo: a password is required >&2\nexit 1\n")
    sudo.chmod(0o755)
    rig = make_rig("obedient")
    with Launcher(AccountSettings("sudo", 1000, False, str(sudo), "/nonexistent")) as launcher:
        live = rig.registry.open(rig.key(), Policy(), ("127.1.0.2",), (b"/",), replace(rig.tools, launcher=launcher))
        assert live.wait_ended(LONG)
    problem = live.watch(0, 1.0).problem
    assert problem is not None and problem.code == "mover-died"
    assert f"status 1 before its first word (may sudo start movers as {live.key.account}?" in problem.reason


def test_a_killed_writer_is_swept_for_and_its_files_fail(make_rig: RigMaker) -> None:
    rig = make_rig("obedient")
    live = rig.open()
    live.expect([file(0)], {}, True)
    os.kill(pid_of(live), signal.SIGKILL)
    assert live.wait_ended(LONG)
    reply = live.watch(0, 1.0)
    problem = reply.outcomes[0].problem
    assert reply.outcomes[0].state is State.FAILED
    assert problem is not None and problem.code == "mover-died" and "SIGKILL" in problem.reason
    assert [path.name for path in (rig.log_dir / "transfers").iterdir() if "sweeper" in path.name]
    with pytest.raises(SessionOver):
        live.listen(())


@pytest.mark.parametrize("manner", ["liar", "babbler", "noisy"])
def test_a_mover_that_talks_nonsense_is_killed(make_rig: RigMaker, manner: str) -> None:
    live = make_rig(manner).open()
    pid = pid_of(live)
    with pytest.raises(SessionOver) as caught:
        live.expect([file(0)], {}, True)
    assert caught.value.cause is not None and caught.value.cause.code == "protocol-violation"
    assert live.wait_ended(LONG)
    assert live.wait_process_gone(LONG)
    assert not psutil.pid_exists(pid)


def test_a_call_does_not_wait_for_a_mover_that_died(make_rig: RigMaker) -> None:
    live = make_rig("dead").open(Side.SOURCE)
    begun = time.monotonic()
    with pytest.raises(SessionOver) as caught:
        live.describe([source(0)], {})
    assert time.monotonic() - begun < LONG
    assert caught.value.cause is not None and "status 7" in caught.value.cause.reason


def test_a_mover_that_ignores_everything_is_killed_when_the_daemon_leaves(make_rig: RigMaker) -> None:
    live = make_rig("deaf").open()
    live.expect([file(0)], {}, True)
    pid = pid_of(live)
    begun = time.monotonic()
    live.stop("leaving", hurry=True)
    assert live.wait_process_gone(LONG)
    assert time.monotonic() - begun < 8
    assert live.wait_ended(LONG)
    assert not psutil.pid_exists(pid)


def test_a_lost_clients_transfer_is_stopped(make_rig: RigMaker) -> None:
    live = make_rig("obedient", client_grace=0.3).open()
    live.expect([file(0)], {}, True)
    assert live.wait_ended(LONG)
    assert live.session.problem is not None and live.session.problem.code == "abandoned"


def test_a_watch_returns_within_its_second_without_news(make_rig: RigMaker) -> None:
    live = make_rig("obedient").open()
    live.expect([file(0)], {}, True)
    begun = time.monotonic()
    reply = live.watch(0, 60.0)
    assert 0.5 < time.monotonic() - begun < 3.0
    assert not reply.ended and reply.outcomes == ()


def test_a_mover_that_cannot_be_started_is_told_and_leaves_nothing(make_rig: RigMaker) -> None:
    rig = make_rig("obedient")
    (rig.log_dir / "transfers").rmdir()
    key = rig.key()
    with pytest.raises(MoverNotStarted):
        rig.open(key=key)
    assert rig.registry.find(key) is None
    assert rig.state.find(key) is None
    (rig.log_dir / "transfers").mkdir()
    rig.open(key=key).abort(False)


def test_finishing_a_running_session_stops_it_soon(make_rig: RigMaker) -> None:
    rig = make_rig("obedient")
    live = rig.open()
    live.expect([file(0)], {}, True)
    live.abort(False)
    live.finish()
    assert live.wait_ended(LONG)


def test_many_jobs_with_long_names_are_refused_before_the_memory_is_full(make_rig: RigMaker) -> None:
    rig = make_rig("obedient", max_memory=1 << 30, max_memory_per_user=4_400_000)
    long = [file(index, b"/d/" + b"%04000d" % index) for index in range(100)]  # 400 kB, and 3.2 MB during a call
    first, second = rig.open(), rig.open()
    first.expect(long, {}, False)
    first.expect(long, {}, False)  # asked again, they take nothing more
    second.expect(long, {}, False)
    with pytest.raises(MemoryFull, match="one user") as caught:
        second.expect([file(index + 100, b"/e/" + b"%04000d" % index) for index in range(100)], {}, False)
    assert caught.value.retryable
    # What was refused is not there; what was expected before goes on, and other users have room of their own.
    assert second.status(0.0)["waiting"] == 100
    other = rig.registry.open(rig.key(dn="/CN=somebody else"), Policy(), ("127.1.0.2",), (b"/",), rig.tools)
    other.expect(long, {}, True)
    taken = rig.tools.memory.taken()
    first.abort(False)
    first.finish()
    assert wait_until(lambda: first not in rig.registry.all())
    assert rig.tools.memory.taken() <= taken - 400_000
    second.expect([file(index + 100, b"/e/" + b"%04000d" % index) for index in range(100)], {}, True)


def test_sessions_count_even_without_files(make_rig: RigMaker) -> None:
    rig = make_rig("obedient", max_memory_per_user=100_000)
    live = [rig.open() for _ in range(3)]
    with pytest.raises(MemoryFull):
        rig.open()
    assert rig.registry.all() == live


def test_what_a_mover_says_counts_as_its_users(make_rig: RigMaker) -> None:
    rig = make_rig("wordy", max_memory_per_user=1 << 20)
    live = rig.open()
    with pytest.raises(SessionOver) as caught:
        live.expect([file(0)], {}, True)
    problem = caught.value.problem(Side.DESTINATION, Phase.PREFLIGHT)
    assert problem.code == MemoryFull.code and problem.retryable
    assert live.wait_ended(LONG)
