"""What survives the daemon."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fdtcp.errors import DestinationFull, Phase, Side
from fdtcp.model.order import DestinationFile, KeptPartial, Outcome, State
from fdtd.errors import StateFailed
from fdtd.sessions.machine import SessionKey
from fdtd.state.statefile import StateFile

KEY = SessionKey("/CN=me", "me", "a" * 32, Side.DESTINATION)
FULL = DestinationFull("no space").problem(Side.DESTINATION, Phase.COMMIT)
NAMES = [b"/d/plain", b"/d/\xff\xfe", "/d/naïve name".encode()]


def file(index: int) -> DestinationFile:
    return DestinationFile(index, NAMES[index], 10, 0, 0o644, b"fdt://s/f")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFile]:
    with closing(StateFile(str(tmp_path))) as one:
        yield one


def test_a_session_is_found_again_with_what_is_final_and_what_is_not(state: StateFile, tmp_path: Path) -> None:
    number = state.open_session(KEY, 100.0, (b"/d/\xff", b"/e"))
    state.expect(number, [file(0), file(1), file(2)])
    outcomes = [
        Outcome(1, State.FAILED, 10, problem=FULL),
        Outcome(0, State.DONE, 10, moved=6, kept=4, checksum="adler32:00000001", finished=5.0, promise="p"),
    ]
    state.record(number, "me", 0, outcomes)
    with closing(StateFile(str(tmp_path))) as later:
        stored = later.find(KEY)
        assert stored is not None and stored.ended is None and stored.scopes == (b"/d/\xff", b"/e")
        assert later.unfinished() == [stored]
        assert later.outcomes(stored.id, 0, 10) == outcomes
        assert later.outcomes(stored.id, 1, 10) == outcomes[1:]
        assert later.waiting(stored.id) == [(2, NAMES[2], 10)]
        later.end(stored.id, FULL, 200.0)
    ended = state.find(KEY)
    assert ended is not None and ended.problem == FULL and ended.ended == 200.0
    assert state.unfinished() == []


def test_expecting_twice_changes_nothing(state: StateFile) -> None:
    number = state.open_session(KEY, 0.0)
    state.expect(number, [file(0)])
    state.expect(number, [file(0)])
    assert len(state.waiting(number)) == 1


def test_a_chunk_that_was_refused_and_comes_again_with_more_is_written_anew(state: StateFile) -> None:
    number = state.open_session(KEY, 0.0)
    state.expect(number, [file(0)])
    state.expect(number, [file(0), file(2)])
    state.expect(number, [])
    state.record(number, "me", 0, [])
    assert [index for index, _, _ in state.waiting(number)] == [0, 2]


def test_outcomes_are_read_from_any_position(state: StateFile) -> None:
    number = state.open_session(KEY, 0.0)
    said = [Outcome(index, State.DONE, index) for index in range(10)]
    for start, stop in ((0, 3), (3, 4), (4, 10)):
        state.record(number, "me", start, said[start:stop])
    assert state.count_outcomes(number) == 10
    for position in range(11):
        for most in (1, 2, 5, 20):
            assert state.outcomes(number, position, most) == said[position : position + most]


def test_rows_that_are_damaged_are_told_as_such(state: StateFile) -> None:
    number = state.open_session(KEY, 0.0)
    state.expect(number, [file(0)])
    with state.transaction() as db:
        db.execute("UPDATE expected SET files = x'c1'")
    with pytest.raises(StateFailed, match="cannot be read"):
        state.waiting(number)


def test_forgotten_and_old_sessions_take_their_rows_along(state: StateFile) -> None:
    number = state.open_session(KEY, 0.0)
    state.expect(number, [file(0), file(1)])
    state.record(number, "me", 0, [Outcome(0, State.DONE, 10)])
    state.end(number, None, 100.0)
    assert state.purge(ended_before=100.0) == 0
    assert state.purge(ended_before=101.0) == 2
    assert state.find(KEY) is None
    assert state.outcomes(number, 0, 10) == []


def test_a_number_is_never_used_again(state: StateFile) -> None:
    first = state.open_session(KEY, 0.0)
    state.forget(first)
    assert state.open_session(KEY, 0.0) > first


def test_kept_partials_are_listed_until_their_file_is_in_place(state: StateFile) -> None:
    number = state.open_session(KEY, 0.0)
    state.expect(number, [file(0), file(1)])
    partials = [(NAMES[index], KeptPartial(b"/d/.p%d" % index, 5)) for index in (0, 1)]
    state.keep(number, "me", partials, due=1000.0)
    assert {one.destination for one in state.leftovers()} == {NAMES[0], NAMES[1]}
    state.record(number, "me", 0, [Outcome(0, State.DONE, 10), Outcome(1, State.FAILED, 10, problem=FULL)])
    assert {one.destination for one in state.leftovers()} == {NAMES[1]}
    assert state.leftovers(due_before=999.0) == []
    assert state.leftovers(due_before=1000.0)[0].discard


def test_what_an_aborted_session_left_is_due_at_once(state: StateFile) -> None:
    state.keep(7, "me", [(NAMES[0], KeptPartial(b"/d/.p", 5))], due=1e12)
    state.discard(7)
    assert [one.destination for one in state.leftovers(due_before=1.0)] == [NAMES[0]]


def test_a_failed_sweep_is_tried_again_and_does_not_hide_a_kept_partial(state: StateFile) -> None:
    state.keep(7, "me", [(NAMES[0], KeptPartial(b"/d/.p", 5))], due=50.0)
    state.sweep_later(8, "me", [NAMES[0], NAMES[1]], False, due=60.0)
    assert [(one.destination, one.size, one.discard) for one in state.leftovers()] == [
        (NAMES[0], 5, True),
        (NAMES[1], 0, False),
    ]
    state.postpone("me", [NAMES[0]], due=70.0)
    assert [one.destination for one in state.leftovers(due_before=65.0)] == [NAMES[1]]
    state.swept("me", NAMES)
    assert state.leftovers() == []


def test_two_owners_can_have_the_same_job(state: StateFile) -> None:
    other = SessionKey("/CN=other", "me", KEY.job, KEY.side)
    assert state.open_session(KEY, 0.0) != state.open_session(other, 0.0)
    with pytest.raises(StateFailed):
        state.open_session(KEY, 0.0)


def test_the_file_is_not_for_everybody(state: StateFile) -> None:
    assert stat.S_IMODE(os.stat(state.path).st_mode) == 0o640


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateFailed, match="fdtd"):
        StateFile(str(tmp_path / "nowhere"))


def test_what_is_written_down_of_a_user_is_known_until_it_is_forgotten(state: StateFile) -> None:
    assert state.stored_by(KEY.dn) == 0
    number = state.open_session(KEY, 0.0)
    state.expect(number, [file(0), file(1)])
    expected = state.stored_by(KEY.dn)
    assert expected > len(NAMES[0]) + len(NAMES[1])
    state.record(number, "me", 0, [Outcome(0, State.DONE, 10)])
    assert state.stored_by(KEY.dn) > expected
    assert state.stored_by("/CN=somebody else") == 0
    state.forget(number)
    assert state.stored_by(KEY.dn) == 0
