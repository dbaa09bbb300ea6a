from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdtcp.errors import Fault, Phase, Problem, ProtocolViolation, Side, Status
from fdtcp.model.codec import decode_message, encode_message


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Row:
    index: int
    name: bytes
    colour: Colour = Colour.RED


@dataclass(frozen=True, slots=True)
class Message:
    text: str
    rows: tuple[Row, ...]
    rate: float = 0.0
    flag: bool = False
    problem: Problem | None = None
    extra: int | None = None


PROBLEM = Problem("code", "reason", "remedy", Side.SOURCE, Phase.COMMIT, Fault.SITE, True, Status.EXISTS)
ROWS = st.builds(Row, st.integers(-(2**63), 2**63 - 1), st.binary(max_size=20), st.sampled_from(Colour))
MESSAGES = st.builds(
    Message,
    st.text(max_size=20),
    st.lists(ROWS, max_size=5).map(tuple),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none() | st.just(PROBLEM),
    st.none() | st.integers(0, 9),
)


@given(MESSAGES, st.booleans())
def test_what_is_encoded_is_decoded(message: Message, binary: bool) -> None:
    assert decode_message(Message, encode_message(message, binary=binary), binary=binary) == message


def test_a_message_is_a_map_and_a_row_a_list() -> None:
    plain = encode_message(Message("t", (Row(1, b"\xff"),)), binary=False)
    assert plain["rows"] == [[1, "ÿ", "red"]]
    assert plain["text"] == "t"


def test_what_is_missing_takes_its_default() -> None:
    assert decode_message(Message, {"text": "t", "rows": [[1, b"x"]]}) == Message("t", (Row(1, b"x"),))


@pytest.mark.parametrize(
    "plain",
    [
        None,
        [],
        {},
        {"text": "t"},
        {"text": 1, "rows": []},
        {"text": "t", "rows": {}},
        {"text": "t", "rows": [[1]]},
        {"text": "t", "rows": [[1, b"x", "red", 4]]},
        {"text": "t", "rows": [[1, b"x", "green"]]},
        {"text": "t", "rows": [[True, b"x"]]},
        {"text": "t", "rows": [[1 << 63, b"x"]]},
        {"text": "t", "rows": [[1, "text"]]},
        {"text": "t", "rows": [], "flag": 1},
        {"text": "t", "rows": [], "rate": "fast"},
        {"text": "t", "rows": [], "rate": True},
        {"text": "t", "rows": [], "rate": float("nan")},
        {"text": "t", "rows": [], "rate": float("inf")},
        {"text": "t", "rows": [], "rate": 10**400},
        {"text": "t", "rows": [], "problem": {"code": "x"}},
        {"text": "t", "rows": [], "unknown": 1},
        {"text": "t", "rows": [], 5: 1},
    ],
)
def test_what_is_not_a_message_is_a_violation(plain: object) -> None:
    with pytest.raises(ProtocolViolation):
        decode_message(Message, plain)


def test_text_that_is_no_bytes_is_a_violation() -> None:
    with pytest.raises(ProtocolViolation):
        decode_message(Message, {"text": "t", "rows": [[1, "\u0100"]]}, binary=False)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["text", "rows", "rate", "flag", "problem", "extra"]), PLAIN) | PLAIN)
def test_no_peer_can_make_it_fail_otherwise(plain: object) -> None:
    try:
        decode_message(Message, plain)
    except ProtocolViolation:
        pass


@pytest.mark.parametrize(
    "rows",
    [
        [[1, "a"], [2, "b", "blue"]],  # different defaults left out
        [[1, "a", "red"], (2, "b", "blue")],
        [[1, "a"], [2, "b"]],
    ],
)
def test_rows_may_leave_out_what_has_a_default_each_for_itself(rows: list[list[object]]) -> None:
    found = decode_message(Message, {"text": "t", "rows": rows}, binary=False).rows
    assert [(row.index, row.name) for row in found] == [(1, b"a"), (2, b"b")]


@pytest.mark.parametrize(
    "rows",
    [
        [[1, "a"], [True, "b"]],
        [[1, "a"], [2**63, "b"]],
        [[-(2**63) - 1, "a"], [1, "b"]],
        [[1, "a"], [1.0, "b"]],
        [[1, "a"], [2, 3]],
        [[1, "a"], [2, "\u20ac"]],
        [[1, "a", "red"], [2, "b", "green"]],
        [[1, "a", "red"], [2, "b", []]],
        [[1, "a"], [2]],
        [[1], [2]],
        [[1, "a", "red", 0], [2, "b", "red", 0]],
        [[1, "a"], None],
        [[1, "a"], {"index": 1, "name": "b"}],
        [[], []],
        "no rows",
    ],
)
def test_one_bad_row_among_good_ones_is_refused(rows: object) -> None:
    with pytest.raises(ProtocolViolation):
        decode_message(Message, {"text": "t", "rows": rows}, binary=False)


@dataclass(frozen=True, slots=True)
class Many:
    files: Sequence[File]


@dataclass(frozen=True, slots=True)
class File:
    index: int
    name: bytes
    colour: Colour
    text: str = ""
    problem: Problem | None = None


FILES = st.builds(
    File,
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=9).filter(lambda name: b"\0" not in name),
    st.sampled_from(Colour),
    st.sampled_from(["", "é"]),
    st.none() | st.just(PROBLEM),
)


@given(st.lists(FILES, max_size=5), st.booleans())
def test_many_rows_travel_as_columns(files: list[File], binary: bool) -> None:
    plain = encode_message(Many(files), binary=binary)
    assert decode_message(Many, plain, binary=binary).files == files
    if binary:
        assert [type(column) for column in plain["files"]] == [bytes] * 4 + [list]


ONE = b"\1" + bytes(7)


@pytest.mark.parametrize(
    "columns",
    [
        None,
        {},
        [],
        [ONE, b"a\0"],  # no colour
        [ONE, b"a\0", b"\0", b"", [], b""],  # one too many
        [b"", b"a\0", b"\0"],
        [ONE[:7], b"a\0", b"\0"],
        [ONE + ONE[:1], b"a\0", b"\0"],
        [ONE, b"", b"\0"],
        [ONE, b"a", b"\0"],
        [ONE, b"a\0b", b"\0"],
        [ONE, b"a\0b\0", b"\0"],
        [ONE, "a\0", b"\0"],
        [ONE, b"a\0", b""],
        [ONE, b"a\0", b"\2"],
        [ONE, b"a\0", b"\0\0"],
        [ONE, b"a\0", b"\0", b"\xff\0"],
        [ONE, b"a\0", b"\0", b"a\0b\0"],
        [ONE, b"a\0", b"\0", b"", {}],
        [ONE, b"a\0", b"\0", b"", [0]],
        [ONE, b"a\0", b"\0", b"", [[0]]],
        [ONE, b"a\0", b"\0", b"", [[0, "x"]]],
        [ONE, b"a\0", b"\0", b"", [[1, PROBLEM.encode()]]],
        [ONE, b"a\0", b"\0", b"", [[-1, PROBLEM.encode()]]],
        [ONE, b"a\0", b"\0", b"", [[0, PROBLEM.encode()], [0, PROBLEM.encode()]]],
    ],
)
def test_columns_that_do_not_fit_are_a_violation(columns: object) -> None:
    with pytest.raises(ProtocolViolation):
        decode_message(Many, {"files": columns})


def test_columns_may_leave_out_what_has_a_default() -> None:
    assert decode_message(Many, {"files": [ONE, b"a\0", b"\1"]}).files == (File(1, b"a", Colour.BLUE),)


@pytest.mark.parametrize("text", ["*", "AQ", "ä===", 5, b"AQ=="])
def test_columns_that_are_no_base64_are_a_violation(text: object) -> None:
    with pytest.raises(ProtocolViolation):
        decode_message(Many, {"files": [text, "YQA=", "AA=="]}, binary=False)


@given(PLAIN)
def test_no_peer_can_make_columns_fail_otherwise(plain: object) -> None:
    try:
        decode_message(Many, {"files": plain})
    except ProtocolViolation:
        pass
