"""A session as a dialogue: calls and messages in, commands out, no process and no clock."""

from __future__ import annotations

import pytest

from fdtcp.errors import DestinationFull, Phase, ProtocolViolation, Side
from fdtcp.model import order
from fdtcp.model.order import (
    Action,
    Endpoint,
    Found,
    KeptPartial,
    Outcome,
    ReleasedFile,
    SourceFile,
    State,
    Verdict,
)
from fdtd.errors import SessionOver
from fdtd.sessions import commands as do
from fdtd.sessions.patience import HURRY
from fdtd.sessions.states import MOVES, Event, SessionState
from fdtd.site.paths import partial_path
from tests.helpers.sessions import GRACE, HERE, SECRET, WHY, done, expecting, file, kinds, outcomes, session


def test_a_destination_goes_from_open_to_ended() -> None:
    one = session()
    assert one.expect([file(0), file(1)], {}, True) == [do.Send(order.Expect(1, (file(0), file(1)), True))]
    assert one.on_message(order.Expected(1, (Verdict(0, Action.SEND), Verdict(1, Action.SEND))), 0.1) == []
    assert one.destination.answers([file(0), file(1)]) == (Verdict(0, Action.SEND), Verdict(1, Action.SEND))
    assert one.listen((54321,), (), SECRET) == [do.Send(order.Listen(("127.1.0.2",), (54321,), SECRET, ()))]
    assert one.state == "moving"
    assert one.on_message(order.Listening((HERE,)), 0.2) == [do.Lease((HERE,))]
    assert one.on_message(order.Finals((done(0), done(1))), 0.3) == [do.Record(0, (done(0), done(1)))]
    assert one.on_message(order.Ended(), 0.4) == [do.CutLifeLine()]
    assert one.on_exit("status 0") == [do.RecordEnd(None)]
    assert one.state == "ended"
    assert one.secret == b""


def test_a_source_goes_from_open_to_ended() -> None:
    one = session(Side.SOURCE)
    files = [SourceFile(0, b"/a")]
    assert one.describe(files, {}) == [do.Send(order.Describe(1, tuple(files)))]
    one.on_message(order.Described(1, (Found(0, 10, 0, 0o644),)), 0.1)
    assert one.source.answers(files) == (Found(0, 10, 0, 0o644),)
    assert kinds(one.connect((HERE,), SECRET)) == ["Send"]
    assert one.release([ReleasedFile(0, Action.SEND)], True) == [
        do.Send(order.Release((ReleasedFile(0, Action.SEND),), True))
    ]
    assert one.on_message(order.Ended(), 1.0) == [do.CutLifeLine()]
    assert one.on_exit("status 0") == [do.RecordEnd(None)]


def test_a_question_asked_twice_is_sent_once() -> None:
    one = expecting(0, 1)
    assert one.expect([file(0), file(1)], {}, True) == []
    source = session(Side.SOURCE)
    source.describe([SourceFile(0, b"/a")], {})
    assert source.describe([SourceFile(0, b"/a")], {}) == []
    source.on_message(order.Described(1, (Found(0, 1, 0, 0),)), 0.0)
    source.release([ReleasedFile(0, Action.SEND)], False)
    assert source.release([ReleasedFile(0, Action.SEND)], False) == []
    assert kinds(source.release([], True)) == ["Send"]
    assert source.release([], True) == []


def test_listening_and_connecting_twice_changes_nothing() -> None:
    one = expecting(0)
    one.listen((54321,), (), SECRET)
    assert one.listen((54322,), (), b"t" * 32) == []
    assert one.secret == SECRET
    source = session(Side.SOURCE)
    source.connect((HERE,), SECRET)
    assert source.connect((HERE,), SECRET) == []
    with pytest.raises(ProtocolViolation):
        source.connect((Endpoint("127.1.0.2", 1111),), SECRET)


def test_a_writer_is_told_that_its_source_has_ended_as_long_as_it_works() -> None:
    one = expecting(0)
    assert one.source_gone() == [do.Send(order.SourceGone())]
    one.on_message(order.Ended(), 0.0)
    assert one.source_gone() == []


def test_a_refused_path_is_final_at_once_and_never_reaches_the_writer() -> None:
    one = session()
    commands = one.expect([file(0), file(1)], {1: WHY}, True)
    assert commands[0] == do.Send(order.Expect(1, (file(0),), True))
    assert outcomes(commands) == {1: State.FAILED}
    assert one.destination.answers([file(1)]) == (Verdict(1, Action.SKIP, problem=WHY),)


@pytest.mark.parametrize(
    "lie",
    [
        order.Finals((done(7),)),
        order.Finals((done(0, size=9),)),
        order.Finals((Outcome(0, State.DONE, 10, moved=-1),)),
        order.Finals((Outcome(0, State.FAILED, 10),)),
        order.Finals((Outcome(0, State.DONE, 10, problem=WHY),)),
        order.Expected(1, (Verdict(5, Action.SEND),)),
        order.Described(1, (Found(0, 10, 0, 0o644),)),
        order.Listening((Endpoint("10.0.0.1", 54321),)),
        order.Listening((Endpoint("127.1.0.2", 22),)),
        order.Listening(()),
    ],
)
def test_a_writer_that_lies_is_found_out(lie: order.Message) -> None:
    one = expecting(0)
    one.listen((54321,), (), SECRET)
    with pytest.raises(ProtocolViolation):
        one.on_message(lie, 0.0)
    assert one.destination.outcomes == []


def test_a_writer_cannot_listen_unasked() -> None:
    with pytest.raises(ProtocolViolation):
        expecting(0).on_message(order.Listening((HERE,)), 0.0)


def test_a_reader_cannot_end_files() -> None:
    with pytest.raises(ProtocolViolation):
        session(Side.SOURCE).on_message(order.Finals((done(0),)), 0.0)


def test_duplicates_are_ignored_and_logged() -> None:
    one = expecting(0)
    one.on_message(order.Finals((done(0),)), 0.0)
    assert one.on_message(order.Finals((done(0),)), 0.1)[1:] == [do.Complain("1 answers that had been given before")]
    assert one.destination.outcomes == [done(0)]


def test_a_mover_that_is_odd_too_often_is_a_liar() -> None:
    one = expecting(0)
    one.on_message(order.Finals((done(0),)), 0.0)
    with pytest.raises(ProtocolViolation):
        for _ in range(1000):
            one.on_message(order.Finals((done(0),)), 0.1)


def test_nothing_counts_after_ended() -> None:
    one = expecting(0)
    one.on_message(order.Ended(), 0.0)
    assert kinds(one.on_message(order.Finals((done(0),)), 0.1)) == ["Complain"]


def test_a_killed_writer_is_swept_for_before_its_files_are_final() -> None:
    one = expecting(0, 1)
    one.on_message(order.Finals((done(0),)), 0.1)
    assert one.on_exit("signal SIGKILL") == [do.StartSweep((b"/data/f1",), False)]
    assert one.state is SessionState.SWEEPING
    partial = KeptPartial(partial_path(b"/data/f1"), 5)
    commands = one.on_swept([partial])
    assert kinds(commands) == ["RecordKept", "Record", "RecordEnd"]
    assert outcomes(commands) == {1: State.FAILED}
    assert one.problem is not None and one.problem.code == "mover-died" and one.problem.retryable
    assert "SIGKILL" in one.problem.reason
    assert one.kept == (partial,)


def test_a_killed_reader_needs_no_sweep() -> None:
    one = session(Side.SOURCE)
    commands = one.on_exit("signal SIGKILL")
    assert kinds(commands) == ["RecordEnd"]
    assert one.problem is not None and one.problem.side is Side.SOURCE


def test_files_that_a_writer_forgot_are_swept_for_and_fail() -> None:
    one = expecting(0, 1)
    one.on_message(order.Ended(), 0.0)
    assert one.on_exit("status 0") == [do.StartSweep((b"/data/f0", b"/data/f1"), False)]
    assert outcomes(one.on_swept([])) == {0: State.FAILED, 1: State.FAILED}
    assert one.problem is not None and one.problem.code == "mover-died"


def test_what_a_stopped_writer_had_no_time_to_remove_is_swept_for() -> None:
    one = expecting(0, 1, 2)
    one.stop(False, WHY, 0.0)
    halfway = [Outcome(index, State.FAILED, 10, moved=5, problem=WHY) for index in (0, 1)]
    one.on_message(order.Finals((*halfway, Outcome(2, State.FAILED, 10, problem=WHY))), 0.1)
    one.on_message(order.Kept((KeptPartial(partial_path(b"/data/f1"), 3),)), 0.2)
    one.on_message(order.Ended(WHY), 0.3)
    assert one.on_exit("status 0") == [do.StartSweep((b"/data/f0",), False)]
    assert kinds(one.on_swept([])) == ["RecordEnd"]


def test_a_writer_that_came_to_its_own_end_is_not_swept_for() -> None:
    one = expecting(0)
    one.on_message(order.Finals((Outcome(0, State.FAILED, 10, moved=5, problem=WHY),)), 0.1)
    one.on_message(order.Ended(), 0.3)
    assert one.on_exit("status 0") == [do.RecordEnd(None)]


def test_the_writers_own_reason_goes_to_the_files_that_are_left() -> None:
    full = DestinationFull("no space").problem(Side.DESTINATION, Phase.TRANSFER)
    one = expecting(0)
    one.on_message(order.Ended(full), 0.0)
    one.on_exit("status 1")
    one.on_swept([])
    assert one.destination.outcomes[0].problem == full


def test_kept_partials_of_other_files_are_not_believed() -> None:
    one = expecting(0)
    mine, theirs = KeptPartial(partial_path(b"/data/f0"), 3), KeptPartial(b"/data/.other.fdt-1234567890.part", 3)
    commands = one.on_message(order.Kept((mine, theirs)), 0.0)
    assert commands[0] == do.RecordKept(((b"/data/f0", mine),))
    assert kinds(commands) == ["RecordKept", "Complain"]
    for _ in range(3):
        one.on_message(order.Kept((mine,)), 0.0)
    assert one.kept == (mine,)


def test_the_partial_of_a_file_that_failed_is_kept_too() -> None:
    one = expecting(0)
    one.on_message(order.Finals((Outcome(0, State.FAILED, 10, problem=WHY),)), 0.0)
    commands = one.on_message(order.Kept((KeptPartial(partial_path(b"/data/f0"), 3),)), 0.0)
    assert kinds(commands) == ["RecordKept"]


def test_a_lost_client_stops_the_transfer_after_the_grace() -> None:
    one = expecting(0)
    one.call_begins(1.0)
    assert one.tick(GRACE * 3) == []  # a call that waits is a client that is there
    one.call_ends(2.0)
    assert one.tick(2.0 + GRACE) == []
    assert one.tick(2.1 + GRACE) == [do.Send(order.Stop(False))]
    assert one.problem is not None and one.problem.code == "abandoned"


def test_a_mover_that_will_not_go_is_made_to() -> None:
    one = expecting(0)
    patience = one.patience
    assert one.stop(False, WHY, 0.0) == [do.Send(order.Stop(False))]
    cut = patience.stop
    assert one.tick(cut - 0.1) == []
    assert one.tick(cut) == [do.CutLifeLine()]
    assert one.tick(cut + patience.cut) == [do.Terminate()]
    assert one.tick(cut + patience.cut + patience.terminate) == [do.Kill()]
    assert one.tick(cut + 100) == [do.GiveUp()]
    assert one.tick(cut + 200) == []


def test_a_leaving_daemon_hurries() -> None:
    one = expecting(0)
    one.stop(False, WHY, 0.0)
    one.hurry(WHY, 1.0)
    within = HURRY.stop + HURRY.cut + HURRY.terminate
    assert within < 5.0
    assert [type(command) for command in one.tick(1.0 + within)] == [do.CutLifeLine, do.Terminate, do.Kill]


def test_a_mover_that_said_ended_has_to_exit() -> None:
    one = expecting(0)
    one.on_message(order.Ended(), 0.0)
    assert one.tick(10.0) == [do.CutLifeLine(), do.Terminate(), do.Kill()]


def test_an_abort_with_discard_overrides_one_without() -> None:
    one = expecting(0)
    one.stop(False, WHY, 0.0)
    assert one.stop(False, WHY, 0.0) == []
    assert one.stop(True, WHY, 0.0) == [do.Send(order.Stop(True))]
    assert one.on_exit("signal SIGKILL") == [do.StartSweep((b"/data/f0",), True)]


def test_without_kept_partials_a_sweep_discards() -> None:
    one = session(keep_partials=False)
    one.expect([file(0)], {}, True)
    assert one.on_exit("signal SIGKILL") == [do.StartSweep((b"/data/f0",), True)]


def test_a_stop_after_everything_was_done_is_no_problem() -> None:
    one = expecting(0)
    one.on_message(order.Finals((done(0),)), 0.0)
    one.stop(False, WHY, 0.1)
    one.on_message(order.Ended(), 0.2)
    assert one.on_exit("status 0") == [do.RecordEnd(None)]


def test_calls_on_a_stopped_session_say_why_it_stopped() -> None:
    one = expecting(0, last=False)
    one.stop(False, WHY, 0.0)
    with pytest.raises(SessionOver) as caught:
        one.expect([file(1)], {}, True)
    assert caught.value.problem(Side.CLIENT, Phase.USAGE) == WHY


def test_a_mover_that_cannot_be_understood_is_killed() -> None:
    one = expecting(0)
    assert one.fail(WHY, 0.0) == [do.Kill()]
    assert one.fail(WHY, 0.0) != [] or one.state is SessionState.STOPPING
    one.on_exit("signal SIGKILL")
    assert one.fail(WHY, 0.0) == []


def test_progress_is_shown_but_bounded() -> None:
    one = expecting(0)
    stream = order.StreamProgress(0, "a" * 1000, "b\nc", 5, True)
    one.on_message(order.Progress(100, 0, (stream,) * 1000), 0.0)
    one.on_message(order.Progress(50, 0, ()), 0.1)
    assert one.moved == 100
    one.on_message(order.Progress(150, 0, (stream,) * 1000), 0.2)
    assert len(one.streams) == 64
    assert len(one.streams[0].local) == 64 and "\n" not in one.streams[0].remote


def test_the_table_has_a_way_out_of_every_state() -> None:
    for state in SessionState:
        reached: set[SessionState] = {state}
        for _ in SessionState:
            reached |= {target for (origin, _), target in MOVES.items() if origin in reached}
        assert SessionState.ENDED in reached
    assert (SessionState.ENDED, Event.STOP) not in MOVES
