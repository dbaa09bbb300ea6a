"""The header by itself; whole hostile messages are in test_session.py and test_client.py."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from Pyro5 import protocol

from authsvc.channel import frames
from fdtcp.errors import ProtocolViolation
from tests.authsvc.pyroframes import call, frame


def test_what_pyro5_writes_is_read() -> None:
    message = protocol.SendingMessage(protocol.MSG_INVOKE, 0, 7, 4, call({}))
    header = frames.Header.decode(bytes(message.data[: frames.HEADER_BYTES]))
    header.check(frames.INVOKE)
    assert header.size == len(call({}))
    assert protocol._header_size == frames.HEADER_BYTES


@given(st.binary(min_size=40, max_size=40))
def test_any_forty_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        frames.Header.decode(data).check(frames.INVOKE)
    except ProtocolViolation:
        return
    assert data.startswith(b"PYRO")


@given(st.binary(max_size=200))
def test_any_payload_is_passed_or_refused(data: bytes) -> None:
    for check in (frames.check_call, frames.check_reply):
        try:
            check(data)
        except ProtocolViolation:
            continue


def test_the_size_limit_is_exact() -> None:
    largest = 4 << 20
    frames.Header.decode(frame(b"", size=largest)).check(frames.INVOKE)
    with pytest.raises(ProtocolViolation, match="over the limit"):
        frames.Header.decode(frame(b"", size=largest + 1)).check(frames.INVOKE)


@pytest.mark.parametrize("reply", [{"ok": {}}, {"error": {"code": "x"}}])
def test_a_proper_reply_passes(reply: dict[str, object]) -> None:
    frames.check_reply(msgpack.packb(reply))
