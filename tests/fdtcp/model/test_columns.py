"""Rows that are kept by columns."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdtcp.model.columns import Columns, columns_of, run_of


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Row:
    index: int
    name: bytes
    colour: Colour
    text: str = ""
    size: int = 0
    rate: float = 0.0
    kept: tuple[int, ...] = ()
    shade: Colour = Colour.BLUE


NAMES = st.binary(max_size=6).map(lambda name: name.replace(b"\0", b"/"))
ROWS = st.builds(
    Row,
    st.integers(-(2**63), 2**63 - 1),
    NAMES,
    st.sampled_from(Colour),
    st.just("") | st.text("aä", max_size=3),
    st.just(0) | st.integers(0, 9),
    st.just(0.0) | st.floats(allow_nan=False, allow_infinity=False),
    st.just(()) | st.just((1, 2)),
    st.sampled_from(Colour),
)


@given(st.lists(ROWS, max_size=6))
def test_rows_come_back(rows: list[Row]) -> None:
    kept = Columns.of(Row, rows)
    assert list(kept) == rows
    assert kept == rows
    assert len(kept) == len(rows)
    assert [kept[place] for place in range(len(rows))] == rows
    assert Columns.of(Row, kept) is kept


@given(st.lists(ROWS, max_size=6), st.integers(0, 6), st.integers(0, 6))
def test_a_part_of_them_can_be_taken_and_joined_again(rows: list[Row], start: int, stop: int) -> None:
    kept = Columns.of(Row, rows)
    assert list(kept[start:stop]) == rows[start:stop]
    assert list(kept[::-1]) == rows[::-1]
    middle = max(start, stop)
    parts = [kept[:start], kept[start:middle], kept[middle:]]
    assert Columns.join(Row, parts) == kept
    assert Columns.join(Row, []) == []


@given(st.lists(ROWS, min_size=1, max_size=6), st.data())
def test_rows_can_be_picked(rows: list[Row], data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=6))
    assert list(Columns.of(Row, rows).pick(places)) == [rows[place] for place in places]


def test_each_column_can_be_had_alone() -> None:
    kept = Columns.of(Row, [Row(7, b"a", Colour.BLUE, "x", kept=(3,)), Row(-1, b"", Colour.RED)])
    assert list(kept.numbers("index")) == [7, -1]
    assert kept.names("name") == [b"a", b""]
    assert kept.codes("colour") == b"\1\0"
    assert kept.codes("shade") == b"\1\1"
    assert kept.texts("text") == ["x", ""]
    assert list(kept.numbers("rate")) == [0.0, 0.0]
    assert kept.rest("kept") == {0: (3,)}
    assert kept.raw("size") == b""
    with pytest.raises(KeyError):
        kept.numbers("nothing")


def test_what_all_have_by_default_takes_no_room() -> None:
    kept = Columns.of(Row, [Row(index, b"x", Colour.RED) for index in range(100)])
    assert sum(map(len, kept.values)) == 100 * (8 + 2 + 1)


def test_rows_can_be_made_of_columns() -> None:
    made = Columns.build(Row, 2, index=range(5, 7), name=[b"a", b"b"], colour=b"\0\1", kept={1: (4,)})
    assert made == (Row(5, b"a", Colour.RED), Row(6, b"b", Colour.BLUE, kept=(4,)))
    assert made.replace(size=[1, 2]) == (Row(5, b"a", Colour.RED, size=1), Row(6, b"b", Colour.BLUE, size=2, kept=(4,)))
    assert "Row(index=5" in repr(made)


def test_fields_that_another_kind_has_too_can_go_on_as_they_are() -> None:
    @dataclass(frozen=True, slots=True)
    class Less:
        index: int
        kept: tuple[int, ...] = ()
        size: int = 0

    kept = Columns.of(Row, [Row(1, b"a", Colour.RED, size=7), Row(2, b"b", Colour.RED, kept=(3,))])
    assert kept.as_kind(Less) == (Less(1, size=7), Less(2, (3,)))


def test_equal_rows_are_equal_however_they_are_kept() -> None:
    row = Row(1, b"a", Colour.RED)
    cut = Columns.of(Row, [Row(0, b"z", Colour.RED, size=9), row])[1:]
    assert cut == Columns.of(Row, [row])
    assert cut == (row,)
    assert (row,) == cut
    assert cut != (row, row)
    assert cut != 5


def test_a_name_with_a_nul_is_no_name() -> None:
    with pytest.raises(ValueError, match="a NUL in name"):
        Columns.of(Row, [Row(1, b"a\0b", Colour.RED)])


def test_a_place_that_is_none() -> None:
    with pytest.raises(IndexError):
        Columns.of(Row, [Row(1, b"a", Colour.RED)])[1]


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_not_taken_from_elsewhere(odd: float) -> None:
    (column,) = (one for one in columns_of(Row) if one.name == "rate")
    good, bad = (Columns.of(Row, [Row(1, b"a", Colour.RED, rate=rate)]).raw("rate") for rate in (1.5, odd))
    assert column.why_not(good, 1) is None
    assert column.why_not(bad, 1) == "a number that is none"


def test_a_row_begins_with_a_number() -> None:
    @dataclass(frozen=True)
    class Odd:
        name: bytes

    with pytest.raises(AssertionError):
        columns_of(Odd)


@pytest.mark.parametrize(
    ("numbers", "run"),
    [
        ([], None),
        ([0], slice(0, 1)),
        ([7, 8, 9], slice(7, 10)),
        ([7, 9, 8], None),
        ([7, 7, 9], None),
        ([7, 9], None),
        ([-1, 0], None),
        (range(5, 20_000), slice(5, 20_000)),
        ([1 << 62, (1 << 62) + 1], slice(1 << 62, (1 << 62) + 2)),
        ([0, (1 << 63) - 1], None),
    ],
)
def test_numbers_that_follow_each_other_are_a_run(numbers: Sequence[int], run: slice | None) -> None:
    assert run_of(array("q", numbers)) == run
