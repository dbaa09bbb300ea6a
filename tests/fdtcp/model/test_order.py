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
    decode_message_line,
    decode_order_line,
    encode_line,
)

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


@pytest.mark.parametrize("item", ORDERS, ids=lambda item: type(item).__name__)
def test_an_order_is_one_line_and_comes_back(item: order.Order) -> None:
    line = encode_line(item)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_order_line(line) == item


@pytest.mark.parametrize("item", MESSAGES, ids=lambda item: type(item).__name__)
def test_a_message_comes_back(item: order.Message) -> None:
    assert decode_message_line(encode_line(item)) == item


def test_a_secret_is_not_shown() -> None:
    assert "secret" not in repr(Listen((), (), b"top secret"))
    assert "secret" not in repr(Connect((), (), b"top secret"))


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
    with pytest.raises(ProtocolViolation, match="limit"):
        decode_message_line(b" " * (order.MAX_LINE_BYTES + 1))


@given(st.binary(max_size=100))
def test_no_mover_can_make_it_fail_otherwise(line: bytes) -> None:
    try:
        decode_message_line(line)
    except ProtocolViolation:
        pass


@given(st.sampled_from(sorted(order._MESSAGES)), st.recursive(st.none() | st.integers() | st.text(), st.lists))
def test_no_values_can_make_it_fail_otherwise(kind: str, value: object) -> None:
    try:
        decode_message_line(json.dumps({kind: {"seq": value, "found": value, "outcomes": value}}).encode())
    except ProtocolViolation:
        pass
