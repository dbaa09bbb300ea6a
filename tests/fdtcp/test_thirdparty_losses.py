"""Dialogues in which connections, daemons and movers are lost."""

from __future__ import annotations

import dataclasses

import pytest

from fdtcp import contract, judging, thirdparty
from fdtcp.contract import Release, Request, SourceGone, Watch
from fdtcp.errors import (
    DaemonLost,
    DataConnectFailed,
    DestinationHangs,
    MoverDied,
    Phase,
    Problem,
    ProtocolViolation,
    RemoteProblem,
    Side,
    StreamsLost,
    Unreachable,
)
from fdtcp.model.order import KeptPartial, Outcome, State
from fdtcp.stages import Stage
from tests.helpers.fakedaemons import FakePair
from tests.helpers.play import Play


def fail_reader(pair: FakePair, problem: Problem) -> None:
    """Let the reader die when it is released; the destination then sees its streams break."""

    def die(request: Request) -> None:
        if isinstance(request, Release):
            pair.is_stalled = True
            pair.reader_ended = True
            pair.reader_problem = problem
            lost = StreamsLost("all streams broke").problem(Side.DESTINATION, Phase.TRANSFER)
            for index, size in pair.expected.items():
                pair._say(Outcome(index, State.FAILED, size, problem=lost))

    pair.on_call = die


def test_the_root_cause_at_the_source_wins_over_streams_lost() -> None:
    play = Play(3)
    fail_reader(play.pair, MoverDied("the reader was killed").problem(Side.SOURCE, Phase.TRANSFER))
    play.play()
    assert play.reasons() == {"mover-died"}
    assert {outcome.problem.side for outcome in play.told if outcome.problem} == {Side.SOURCE}


def test_streams_that_nobody_can_explain_stay_lost() -> None:
    play = Play(3)
    fail_reader(play.pair, StreamsLost("mine too").problem(Side.SOURCE, Phase.TRANSFER))
    play.play()
    assert play.reasons() == {"streams-lost"}


def test_a_reader_that_cannot_connect_does_not_keep_the_writer_waiting_for_long() -> None:
    play = Play(1)

    def refuse(request: Request) -> None:
        if isinstance(request, Release):
            play.pair.is_stalled = play.pair.reader_ended = True
            failed = DataConnectFailed("no stream could be opened").problem(Side.SOURCE, Phase.TRANSFER)
            play.pair.reader_problem = failed

    play.pair.on_call = refuse
    play.play()
    assert play.reasons() == {"data-connect-failed"}
    assert play.now < judging.SETTLE_S + thirdparty.STOP_S + 2
    assert "Abort" in play.pair.names(Side.DESTINATION)


def test_a_writer_that_dies_fails_what_is_not_final_and_stops_the_reader() -> None:
    play = Play(2)

    def die(request: Request) -> None:
        if isinstance(request, Release):
            play.pair.is_stalled = play.pair.writer_ended = True
            play.pair._say(Outcome(0, State.DONE, 0))
            play.pair.writer_problem = MoverDied("killed").problem(Side.DESTINATION, Phase.TRANSFER)

    play.pair.on_call = die
    play.play()
    assert play.states() == ["done", "failed"]
    assert play.reasons() == {"mover-died"}
    assert play.pair.names(Side.SOURCE)[-2:] == ["Abort", "Finish"]


def test_a_destination_that_hung_and_has_ended_is_the_end_whatever_its_reader_waits_for() -> None:
    play = Play(2)

    def hang(request: Request) -> None:
        if isinstance(request, Release):
            play.pair.is_stalled, play.pair.is_told_all = True, False
            hangs = DestinationHangs("no answer").problem(Side.DESTINATION, Phase.TRANSFER)
            play.pair.writer_problem = hangs
            play.pair._say(Outcome(0, State.DONE, 0))
            play.pair._say(Outcome(1, State.FAILED, 0, problem=hangs))
        elif isinstance(request, Watch) and request.side is Side.DESTINATION and request.cursor == 2:
            play.pair.writer_ended = True  # a moment after it has told of the last file

    play.pair.on_call = hang
    play.play()
    assert play.states() == ["done", "failed"]
    assert play.reasons() == {"destination-hangs"}
    assert play.now < judging.WRAP_UP_S


def test_a_partial_that_stays_is_told_of_once_however_many_files_there_are() -> None:
    play = Play(contract.MAX_CHUNK)
    play.pair.kept = (KeptPartial(b"/to/.0", 5),)
    play.play()
    assert play.machine.kept == play.pair.kept


def test_who_is_awaited_beyond_the_deadline_is_not_asked_for_all_the_time() -> None:
    play = Play(1)
    play.machine.start(0.0)
    gone = Unreachable("no route").problem(Side.SOURCE, Phase.CONNECT)
    play.machine.not_opened(Side.SOURCE, gone, 0.1)
    assert play.machine.stage is Stage.SETTLING, "the destination may be in trouble, too"
    assert play.machine.wake_at(0.2) > 60.0


def test_a_lost_connection_is_opened_again_and_the_call_made_again() -> None:
    play = Play(2)
    play.cut = {Side.SOURCE}
    play.unreachable = set()
    play.commands += play.machine.start(0.0)
    play.cut = set()
    play.commands += play.perform(play.commands.pop(0))  # the source is open
    play.cut = {Side.SOURCE}
    play.go_on(until=5.0)
    assert play.machine.ends[Side.SOURCE].lost_since is not None
    play.cut = set()
    play.go_on()
    assert play.states() == ["done", "done"]
    assert play.machine.problems == ()


@pytest.mark.parametrize("side", [Side.SOURCE, Side.DESTINATION])
def test_a_daemon_that_stays_away_loses_what_is_not_final(side: Side) -> None:
    play = Play(2)
    play.pair.is_stalled = True
    play.play(until=3.0)
    play.cut = {side}
    began = play.now
    play.go_on()
    assert play.machine.is_ended
    assert play.reasons() == {DaemonLost.code}
    assert 30 <= play.now - began < 70


def test_a_destination_that_is_lost_is_the_root_cause_of_broken_streams() -> None:
    play = Play(2)
    play.pair.is_stalled = True
    play.play(until=3.0)
    play.cut = {Side.DESTINATION}
    play.pair.reader_ended = True
    play.pair.reader_problem = StreamsLost("all streams broke").problem(Side.SOURCE, Phase.TRANSFER)
    play.go_on()
    assert play.reasons() == {DaemonLost.code}


def test_a_daemon_that_was_started_anew_has_lost_the_job() -> None:
    play = Play(1)
    unknown = MoverDied("no such job").problem(Side.SOURCE, Phase.TRANSFER)

    def forget(request: Request) -> None:
        if isinstance(request, Release):
            raise RemoteProblem(dataclasses.replace(unknown, code=thirdparty.UNKNOWN_SESSION))

    play.pair.on_call = forget
    play.play()
    assert play.reasons() == {DaemonLost.code}


def lose_reader(play: Play) -> None:
    """Let the reader die when it is released; its writer hopes for streams until it is told."""

    def die(request: Request) -> None:
        if isinstance(request, Release):
            play.pair.is_stalled = play.pair.reader_ended = True
            play.pair.reader_problem = MoverDied("killed").problem(Side.SOURCE, Phase.TRANSFER)
        if isinstance(request, SourceGone):
            play.pair._say(Outcome(0, State.DONE, 0))  # it had come whole
            lost = StreamsLost("the source has ended").problem(Side.DESTINATION, Phase.TRANSFER)
            play.pair._say(Outcome(1, State.FAILED, 0, problem=lost))
            play.pair.writer_ended = True

    play.pair.on_call = die


def test_a_writer_whose_source_has_ended_is_told_and_says_what_it_has() -> None:
    play = Play(2)
    lose_reader(play)
    play.play()
    assert play.states() == ["done", "failed"]
    assert play.reasons() == {"mover-died"}
    assert play.pair.names(Side.DESTINATION).count("SourceGone") == 1
    assert "Abort" not in play.pair.names(Side.DESTINATION)


def test_a_daemon_that_does_not_know_the_word_is_waited_for() -> None:
    play = Play(2)
    lose_reader(play)
    die = play.pair.on_call

    def refuse_word(request: Request) -> None:
        die(request)
        if isinstance(request, SourceGone):
            raise RemoteProblem(ProtocolViolation("no such call").problem(Side.DESTINATION, Phase.TRANSFER))

    play.pair.on_call = refuse_word
    play.play()
    assert play.states() == ["done", "failed"]
    assert play.reasons() == {"mover-died"}
