"""How a session keeps its files."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from fdtcp.model.columns import Columns
from fdtcp.model.order import DestinationFile, Outcome, State
from fdtd.sessions.chunks import Chunks, Said, fit, mark, put, states_of, values_of
from tests.helpers.sessions import file


def columns(*indexes: int) -> Columns[DestinationFile]:
    return Columns.of(DestinationFile, map(file, indexes))


def test_a_state_that_nobody_wrote_is_0() -> None:
    states = bytearray()
    mark(states, [], 1)
    assert states_of(states, [0, -1, 7]) == b"\0\0\0"
    mark(states, [3, 1], 2)
    assert states_of(states, [0, 1, 2, 3, 4, -1]) == b"\0\2\0\2\0\0"
    assert states_of(states, [3, 0]) == b"\2\0"
    assert states_of(states, array("q", [2, 3, 4, 5])) == b"\0\2\0\0"
    column = array("q")
    fit(column, states)
    assert list(column) == [0] * len(states)


@given(st.lists(st.integers(0, 9), unique=True), st.booleans())
def test_values_are_written_and_read_by_file_whether_these_follow_each_other_or_not(
    places: list[int], run: bool
) -> None:
    indexes = array("q", sorted(places) if not run else range(len(places)))
    values = [7 * index for index in indexes]
    column, marks = array("H", [1] * 10), bytearray(10)
    put(column, indexes, values)
    put(marks, indexes, values)
    assert list(values_of(column, indexes)) == values == list(states_of(marks, indexes))
    others = set(range(10)) - set(indexes)
    assert all(column[index] == 1 and not marks[index] for index in others)


def test_names_are_kept_until_the_last_file_of_their_chunk_is_final() -> None:
    chunks = Chunks()
    chunks.add(columns(0, 1))
    chunks.add(columns())
    chunks.add(columns(5))
    chunks.drop([0])
    assert [index for index, _ in chunks.paths()] == [0, 1, 5]
    assert chunks.paths_of({0, 5}) == {0: file(0).path, 5: file(5).path}
    chunks.drop([1])
    assert [index for index, _ in chunks.paths()] == [5]
    assert chunks.paths_of({0}) == {}


def test_a_file_is_found_by_its_path() -> None:
    chunks = Chunks()
    chunks.add(columns(0, 1))
    assert chunks.find(file(1).path) == file(1)
    assert chunks.find(file(2).path) is None
    chunks.add(columns(2))
    assert chunks.find(file(2).path) == file(2)
    chunks.drop([2])
    assert chunks.find(file(2).path) is None


def test_outcomes_can_be_read_from_any_position() -> None:
    said, known = Said(), []
    for start, stop in ((0, 3), (3, 3), (3, 4), (4, 9)):
        part = [Outcome(index, State.DONE, index) for index in range(start, stop)]
        said.add(Columns.of(Outcome, part))
        known += part
    assert said == known
    assert said[5] == known[5]
    for start in range(11):
        for stop in range(start, 12):
            assert said[start:stop] == known[start:stop]
