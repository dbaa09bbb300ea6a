"""Orders and messages on the pipes between a daemon and its mover."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdtcp.errors import MoverDied, Phase, ProtocolViolation, Side
from fdtcp.model import order
from fdtcp.model.order import (
    Connect,
    Described,
    DestinationFile,
    Ended,
    Endpoint,
    Expect,
    Extent,
    Finals,
    Found,
    Listen,
    Outcome,
    Policy,
    Role,
    Setup,
    State,
)
from fdtcp.model.pipe import MAX_LINE_BYTES, Lines, decode_message_line, decode_order_line, encode_line

ORDERS: list[order.Order] = [
    Setup(Role.WRITER, "ab" * 16, (b"/data",), Policy(streams=3)),
    Expect(1, (DestinationFile(0, b"/\xff\n", 5, 1, 0o644, b"fdt://a/x"),), last=True),
    Listen(("127.1.0.3",), (54321,), bytes(range(32)), ("127.1.0.2",)),
    Connect((Endpoint("127.1.0.3", 54321),), (), b"\n" * 32),
    order.Release((order.ReleasedFile(0, order.Action.SEND, (Extent(0, 4, 7),)),), last=False),
    order.SetRate(1000),
    order.SourceGone(),
    order.Stop(discard=True),
    order.Sweep((b"/x",), discard=False),
    order.Describe(2, (order.SourceFile(0, b"/x"),)),
]
MESSAGES: list[order.Message] = [
    Described(2, (Found(0, 5, 1, 0o644),)),
    Finals((Outcome(0, State.FAILED, 5, problem=MoverDied("x").problem(Side.SOURCE, Phase.TRANSFER)),)),
    Ended(),
]


def heard(data: bytes, step: int) -> list[bytes]:
    """Return the lines that come out when `data` comes in pieces."""
    lines, found = Lines(), []
    for start in range(0, len(data), step):
        lines.feed(data[start : start + step])
        while (line := lines.take()) is not None:
            found.append(line)
    return found


@pytest.mark.parametrize("item", ORDERS, ids=lambda item: type(item).__name__)
def test_an_order_comes_back_however_it_came(item: order.Order) -> None:
    line = encode_line(item)
    assert decode_order_line(line) == item
    for step in (1, 7, len(line)):
        assert heard(line * 2, step) == [line, line]


@pytest.mark.parametrize("item", MESSAGES, ids=lambda item: type(item).__name__)
def test_a_message_comes_back(item: order.Message) -> None:
    assert decode_message_line(encode_line(item)) == item


@pytest.mark.parametrize(
    "line",
    [b"", b"x", b"[]", b"{}", b'{"a":{},"b":{}}', b'{"nothing":{}}', b'{"stop":[]}', b"[" * 100_000, b"\xff\xfe"],
)
def test_other_lines_are_violations(line: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        decode_order_line(line)


def test_an_order_is_no_message() -> None:
    with pytest.raises(ProtocolViolation, match="unknown kind"):
        decode_message_line(encode_line(order.Stop(discard=False)))


def test_a_line_has_a_limit() -> None:
    with pytest.raises(ProtocolViolation, match="more than"):
        decode_message_line(b" " * (MAX_LINE_BYTES + 1))


@given(st.binary(max_size=100))
def test_no_mover_can_make_it_fail_otherwise(line: bytes) -> None:
    try:
        decode_message_line(line)
    except ProtocolViolation:
        pass


@given(st.sampled_from(sorted(order.MESSAGES)), st.recursive(st.none() | st.integers() | st.text(), st.lists))
def test_no_values_can_make_it_fail_otherwise(kind: str, value: object) -> None:
    try:
        decode_message_line(json.dumps({kind: {"seq": value, "found": value, "outcomes": value}}).encode())
    except ProtocolViolation:
        pass


def test_columns_stand_behind_their_line_as_they_are() -> None:
    item = order.Describe(1, (order.SourceFile(10, b"/a\tb\n"), order.SourceFile(2, b"/c")))
    index = b"\n\0\0\0\0\0\0\0" + b"\2\0\0\0\0\0\0\0"
    head = b'{"describe":{"seq":1,"files":[{"column":16},{"column":9}]}}\t25\n'
    assert encode_line(item) == head + index + b"/a\tb\n\0/c\0"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"describe":{"seq":1,"files":[{"column":8},{"column":3}]}}\t10\n' + bytes(8) + b"/a", "not there"),
        (b'{"describe":{"seq":1,"files":[{"column":8},{"column":3}]}}\t12\n' + bytes(8) + b"/a\0x", "1 bytes behind"),
        (b'{"describe":{"seq":1,"files":[{"column":-1},{"column":3}]}}\t3\n/a\0', "not there"),
        (b'{"describe":{"seq":1,"files":[{"column":true},{"column":3}]}}\t4\nx/a\0', "not there"),
        (b'{"describe":{"seq":{"column":1},"files":[{"column":0},{"column":0}]}}\t1\nx', "bad Describe"),
        (b'{"describe":{"seq":1,"files":["","/a"]}}\n', "bad Describe"),
        (b'{"column":1}\t1\nx', "a map with one key"),
    ],
)
def test_columns_that_are_not_as_the_line_says_are_violations(line: bytes, why: str) -> None:
    assert heard(line, len(line)) == [line]
    with pytest.raises(ProtocolViolation, match=why):
        decode_order_line(line)


@pytest.mark.parametrize("end", [b"\t99999999", b"\t16777216"])
def test_columns_have_a_limit_before_they_come(end: bytes) -> None:
    lines = Lines()
    lines.feed(b"{}" + end + b"\n")
    with pytest.raises(ProtocolViolation, match="more than"):
        lines.take()


@given(st.binary(max_size=60), st.integers(1, 60))
def test_whatever_comes_comes_out_in_order(data: bytes, step: int) -> None:
    found = b"".join(heard(data.replace(b"\t", b" "), step))
    whole, end, _ = data.replace(b"\t", b" ").rpartition(b"\n")
    assert found == whole + end
