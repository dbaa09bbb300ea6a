from __future__ import annotations

import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.channel.hello import MAX_HELLO_BYTES, Hello, Request, encode_refusal, receive_json, send_json
from authsvc.errors import NotMapped
from fdtcp.errors import Phase, ProtocolViolation, RemoteProblem, Side

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["ok", "dn", "account", "version", "error"]), inner)
    ),
    max_leaves=10,
)


@pytest.mark.parametrize("account", [None, "alice"])
def test_a_request_survives_the_journey(account: str | None) -> None:
    request = Request(account, "1.0")
    assert Request.decode(request.encode()) == request


def test_a_token_travels_only_if_there_is_one_and_is_never_shown() -> None:
    request = Request(None, "1.0", "s.e.cret")
    assert Request.decode(request.encode()) == request
    assert "cret" not in repr(request)
    assert "token" not in Request(None, "1.0").encode()
    for token in (5, ["a.b.c"]):
        with pytest.raises(ProtocolViolation):
            Request.decode({"account": None, "version": "1.0", "token": token})


def test_a_hello_survives_the_journey() -> None:
    hello = Hello("/CN=Zoë", "alice", True, "1.0")
    assert Hello.decode(hello.encode()) == hello


def test_a_refusal_is_raised_where_it_arrives() -> None:
    problem = NotMapped("/CN=x is not in the grid-mapfile").problem(Side.DESTINATION, Phase.AUTHENTICATE)
    with pytest.raises(RemoteProblem) as refused:
        Hello.decode(encode_refusal(problem))
    assert refused.value.remote == problem


@given(JSON)
def test_any_json_is_read_or_refused(value: object) -> None:
    for decode in (Request.decode, Hello.decode):
        try:
            decode(value)
        except (ProtocolViolation, RemoteProblem):
            continue


def test_text_travels_with_its_length() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        deadline = time.monotonic() + 5
        send_json(ours, {"a": "é"}, deadline)
        assert receive_json(theirs, deadline) == {"a": "é"}
        ours.sendall((MAX_HELLO_BYTES + 1).to_bytes(4, "big"))
        with pytest.raises(ProtocolViolation, match="over the limit"):
            receive_json(theirs, deadline)
        ours.sendall(b"\0\0\0\2\xff\xff")
        with pytest.raises(ProtocolViolation, match="not proper JSON"):
            receive_json(theirs, deadline)
        ours.sendall(b"\0\0\0\2x")
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionError, match="1 of 2 bytes"):
            receive_json(theirs, deadline)
