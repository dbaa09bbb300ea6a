from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.channel.values import MAX_DEPTH, MAX_ITEMS, check, decode
from fdtcp.errors import ProtocolViolation

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda key: key != "__class__"), inner),
    max_leaves=20,
)


@given(PLAIN)
def test_plain_values_pass_unchanged(value: object) -> None:
    try:
        assert decode(msgpack.packb(value)) == value
    except ProtocolViolation as exc:
        assert "nested" in exc.reason


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        decode(data)
    except ProtocolViolation:
        return


@pytest.mark.parametrize(
    "value", [{1, 2}, object(), 1j, {1: 2}, {b"k": 1}, {"__class__": "x"}, [{"a": [{"__class__": 1}]}], bytearray(b"x")]
)
def test_anything_else_is_refused_at_any_depth(value: object) -> None:
    with pytest.raises(ProtocolViolation):
        check(value)


def test_the_depth_is_bounded() -> None:
    value: object = []
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    check(value)
    with pytest.raises(ProtocolViolation, match="nested"):
        check([[value]])


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(ProtocolViolation, match="nested"):
        check(loop)


def test_the_extents_of_a_full_chunk_pass() -> None:
    chunk = {"files": [[index, "write", [[1 << 40, 4 << 20, 1 << 31]] * 200] for index in range(1000)]}
    assert decode(msgpack.packb(chunk)) == chunk


@pytest.mark.parametrize(
    "piece", [b"\x80", b"\x90", b"\x81\xa0\xc0", b"\x91\x90"], ids=["maps", "lists", "full maps", "lists in lists"]
)
def test_a_small_message_that_unfolds_to_very_much_is_refused(piece: bytes) -> None:
    count = MAX_ITEMS // 2
    with pytest.raises(ProtocolViolation, match="more than"):
        decode(b"\xdd" + count.to_bytes(4, "big") + piece * count)
    # Cut into lists that are small by themselves.
    part = b"\xdc\x04\x00" + piece * 1024
    with pytest.raises(ProtocolViolation, match="more than"):
        decode(b"\xdc\x04\x00" + part * 1024)
