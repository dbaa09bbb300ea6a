"""Dialogues: the machine of a job talks with two daemons in memory; time is what the test says."""

from __future__ import annotations

import pytest

from fdtcp.contract import Abort, Connect, Describe, Expect, Finish, Listen, Release, Request, Watch
from fdtcp.ends import Call, Close, Link, Open
from fdtcp.errors import (
    InternalError,
    OptionRefused,
    Phase,
    RemoteProblem,
    Side,
)
from fdtcp.model.order import Outcome, State
from fdtcp.stages import MOVES, Event, Stage
from tests.helpers.fakedaemons import FakePair
from tests.helpers.play import Play


def test_a_job_without_trouble_is_described_expected_prepared_started_released_and_finished() -> None:
    play = Play(2)
    play.play()
    assert play.states() == ["done", "done"]
    assert play.pair.names(Side.SOURCE) == ["Describe", "Connect", "Release", "Finish"]
    assert play.pair.names(Side.DESTINATION) == ["Expect", "Expect", "Listen", "Finish"]
    assert [len(call.files) for _, call in play.pair.calls if isinstance(call, Expect)] == [0, 2]
    assert play.machine.problems == ()


def test_a_reader_that_still_closes_its_books_is_not_waited_for() -> None:
    play = Play(1)

    def linger(request: Request) -> None:
        if isinstance(request, Watch) and request.side is Side.SOURCE:
            play.pair.reader_ended = False

    play.pair.on_call = linger
    play.play()
    assert play.states() == ["done"]
    assert play.pair.names(Side.SOURCE) == ["Describe", "Connect", "Release", "Finish"]
    assert play.now < 3


def test_the_writer_starts_while_the_reader_still_looks() -> None:
    play = Play(1)
    play.play()
    order = [type(call) for _, call in play.pair.calls]
    assert order.index(Expect) < 2
    assert order.index(Describe) < 2


def test_the_destination_is_told_where_streams_come_from_and_the_source_where_they_go() -> None:
    play = Play(1)
    play.play()
    prepare = next(call for _, call in play.pair.calls if isinstance(call, Listen))
    start = next(call for _, call in play.pair.calls if isinstance(call, Connect))
    assert prepare.peers == ("127.1.0.2",)
    assert start.endpoints[0].address == "127.1.0.3"
    assert "ssss" not in repr(start)


def test_files_flow_before_all_are_looked_at() -> None:
    play = Play(3500)
    play.play()
    names = play.pair.names(Side.SOURCE)
    assert names.count("Describe") == names.count("Release") == 4
    assert names.index("Release") < len(names) - names[::-1].index("Describe") - 1
    assert play.machine.ledger.counts[State.DONE] == 3500
    assert [call.last for _, call in play.pair.calls if isinstance(call, Release)] == [False, False, False, True]


def test_missing_files_fail_alone() -> None:
    play = Play(100)
    for index in range(0, 100, 10):
        del play.pair.sizes[b"/in/%d" % index]
    play.play()
    assert play.states().count("failed") == 10
    assert play.states().count("done") == 90
    problem = play.machine.ledger.outcomes[0].problem
    assert problem is not None
    assert (problem.code, problem.side) == ("source-missing", Side.SOURCE)


def test_nothing_is_prepared_when_all_files_are_missing() -> None:
    play = Play(3, FakePair())
    play.play()
    assert play.states() == ["failed"] * 3
    assert "Listen" not in play.pair.names(Side.DESTINATION)
    assert play.pair.names(Side.SOURCE) == ["Describe", "Abort", "Finish"]
    assert play.now < 2


def test_no_stream_is_opened_when_all_is_there_already() -> None:
    play = Play(2)
    play.pair.same = {b"/out/0", b"/out/1"}
    play.play()
    assert play.states() == ["skipped", "skipped"]
    assert play.pair.names(Side.SOURCE) == ["Describe", "Abort", "Finish"]
    assert "Listen" not in play.pair.names(Side.DESTINATION)
    assert play.now < 2


def test_existing_files_fail_alone() -> None:
    play = Play(3)
    play.pair.existing = {b"/out/1"}
    play.play()
    assert play.states() == ["done", "failed", "done"]
    assert play.reasons() == {"destination-exists"}


def test_two_hosts_in_trouble_are_both_told() -> None:
    play = Play(2)
    play.unreachable = {Side.SOURCE, Side.DESTINATION}
    play.play()
    assert {problem.side for problem in play.machine.problems} == {Side.SOURCE, Side.DESTINATION}
    assert play.states() == ["failed", "failed"]
    assert play.machine.is_ended


def test_one_host_in_trouble_stops_the_other() -> None:
    play = Play(2)
    play.unreachable = {Side.DESTINATION}
    play.play()
    assert play.reasons() == {"unreachable"}
    assert play.pair.names(Side.SOURCE)[-2:] == ["Abort", "Finish"]


def test_a_refusal_fails_all_files_and_stops_the_other_end() -> None:
    pair = FakePair({b"/in/0": 1})

    def refuse(request: Request) -> None:
        if isinstance(request, Expect):
            raise RemoteProblem(OptionRefused("too many streams").problem(Side.CLIENT, Phase.PREFLIGHT))

    pair.on_call = refuse
    play = Play(1, pair)
    play.play()
    assert play.reasons() == {"option-refused"}
    assert play.told[0].problem is not None
    assert play.told[0].problem.side is Side.DESTINATION
    assert "Finish" in pair.names(Side.SOURCE)


def test_a_stopped_job_tells_only_what_is_final() -> None:
    play = Play(3)

    def hold(request: Request) -> None:
        if isinstance(request, Release):
            play.pair.is_stalled = True
            play.pair._say(Outcome(1, State.DONE, 1))

    play.pair.on_call = hold
    play.play(until=3.0)
    began = play.now
    play.commands += play.machine.stop(play.now)
    play.go_on()
    assert [outcome.index for outcome in play.told] == [1]
    assert play.now - began < 6
    for side in Side.SOURCE, Side.DESTINATION:
        assert play.pair.names(side)[-2:] == ["Abort", "Finish"]


def test_a_stop_does_not_wait_for_a_call_that_takes_long() -> None:
    play = Play(1)
    play.commands += play.machine.start(0.0)
    commands = [command for open_ in play.commands for command in play.machine.opened(open_.side, 0.1)]  # type: ignore[union-attr]  # both are Open
    assert {type(command.request) for command in commands if isinstance(command, Call)} == {Describe, Expect}
    reopened = play.machine.stop(0.2)
    assert {command.side for command in reopened if isinstance(command, Open)} == {Side.SOURCE, Side.DESTINATION}
    asked = [command for side in play.machine.ends for command in play.machine.opened(side, 0.3)]
    assert {type(command.request) for command in asked if isinstance(command, Call)} == {Abort}


def test_a_stop_before_anything_is_connected_ends_at_once() -> None:
    play = Play(1)
    play.machine.start(0.0)
    commands = play.machine.stop(0.1)
    assert play.machine.is_ended
    assert {type(command) for command in commands} == {Close}


def test_daemons_that_hang_do_not_keep_a_stopped_job() -> None:
    play = Play(1)
    play.pair.is_stalled = True
    play.play(until=3.0)
    began = play.now
    play.machine.stop(play.now)  # and no answer comes any more
    while not play.machine.is_ended and play.now < began + 60:
        play.now = max(play.now + 0.001, play.machine.wake_at(play.now))
        play.machine.tick(play.now)
    assert play.now - began < 6


def test_an_answer_for_files_that_nobody_asked_about_ends_the_job() -> None:
    play = Play(1)

    def lie(request: Request) -> None:
        if isinstance(request, Release):
            play.pair.outcomes.append(Outcome(7, State.DONE, 0))

    play.pair.on_call = lie
    play.play()
    assert "protocol-violation" in {problem.code for problem in play.machine.problems}
    assert play.machine.is_ended


def test_every_stage_but_the_last_can_be_stopped() -> None:
    assert {stage for stage, event in MOVES if event is Event.STOP} == set(Stage)


def test_a_move_that_is_not_in_the_table_is_a_bug() -> None:
    machine = Play(1).machine
    with pytest.raises(InternalError):
        machine._move(Event.BOTH_OVER, 0.0)


def test_progress_says_how_far_the_job_is() -> None:
    play = Play(3)
    play.play()
    progress = play.machine.progress()
    assert (progress.files, progress.done, progress.failed, progress.total, progress.moved) == (3, 3, 0, 3, 3)
    assert play.machine.ends[Side.SOURCE].link is Link.CLOSED
    assert {"described", "prepared", "started", "first final", "last final"} <= play.machine.times.keys()
    assert Finish.__name__ in play.pair.names(Side.SOURCE)
