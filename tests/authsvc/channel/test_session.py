"""What a known but hostile caller can send after his hello: every odd message ends his connection, and only his."""

from __future__ import annotations

import logging
import os
import pickle
import time
import zlib

import msgpack
import pytest

from authsvc.channel import ChannelLimits
from fdtcp.errors import DestinationBusy, RemoteProblem
from tests.authsvc.listening import Listening, wait_closed
from tests.authsvc.pyroframes import EXIT_MAP, PROXY_MAP, call, frame, receive_frame
from tests.helpers.pki import Pki

# A call of echo with one argument, up to its value.
START = b"\x94\xa7session\xa4call\x92\xa4echo\x81\xa1x"


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


HOSTILE = {
    "a message over the limit": frame(b"", size=(4 << 20) + 1),
    "a message of four gigabytes": frame(b"", size=0xFFFFFFFF),
    "a compressed message": frame(zlib.compress(call({})), flags=2),
    "a compressed bomb": frame(zlib.compress(bytes(50 << 20)), flags=2),
    "marshal": frame(call({}), serializer=2),
    "serpent": frame(b"('session','call',('echo',{}),{})", serializer=1),
    "json": frame(b'{"object":"session"}', serializer=3),
    "an unknown serialiser": frame(call({}), serializer=99),
    "marshal hidden in an annotation": frame(call({}), flags=32, annotations=b"BLBI\0\0\0\x01x"),
    "an annotation": frame(call({}), annotations=b"ABCD\0\0\0\x01x"),
    "a batch": frame(msgpack.packb(["session", "<batch>", [["call", ["echo", {}], {}]], {}]), flags=8),
    "a one-way call": frame(call({}), flags=4),
    "a connect message": frame(msgpack.packb({"handshake": "hello", "object": "session"}), kind=1),
    "a ping": frame(b"ping", kind=6),
    "a result": frame(call({}), kind=5),
    "another object": frame(call({}, target="Pyro.Daemon")),
    "the daemon's own methods": frame(msgpack.packb(["Pyro.Daemon", "registered", [], {}])),
    "another method": frame(call({}, method="__init__")),
    "an attribute": frame(call({}, method="__getattr__")),
    "keyword arguments": frame(msgpack.packb(["session", "call", [], {"name": "echo", "argument": {}}])),
    "a name that is no text": frame(call({}, name=7)),
    "an argument that is no map": frame(call([1])),
    "a Pyro proxy as argument": frame(call({"x": PROXY_MAP})),
    "an exception as argument": frame(call({"x": [EXIT_MAP]})),
    "a class at the top": frame(msgpack.packb({"__class__": "Pyro5.core.URI", "state": []})),
    "numbers as keys": frame(call({1: 2})),
    "bytes as keys": frame(call({b"__class__": b"x"})),
    "an extension type": frame(call({"x": msgpack.ExtType(0x31, b"1" * 5000)})),
    "a timestamp": frame(call({"x": msgpack.Timestamp(1, 1)})),
    "a nesting of a hundred": frame(call({"x": nested(100)})),
    "a nesting of ten thousand": frame(
        b"\x94\xa7session\xa4call\x92\xa4echo\x81\xa1x" + b"\x91" * 10_000 + b"\x01\x80"
    ),
    "text that is not UTF-8": frame(b"\x94\xa7session\xa4call\x92\xa4echo\x81\xa1x\xa1\xff\x80"),
    "a list that promises four billion items": frame(b"\xdd\xff\xff\xff\xff"),
    "something after the end": frame(call({}) + b"\x01"),
    "nothing": frame(b""),
    "pickle": frame(pickle.dumps({})),
    "random bytes": frame(os.urandom(256)),
    "another tag": frame(call({}), tag=b"PYR0"),
    "another version": frame(call({}), version=501),
    "another magic number": frame(call({}), magic=1),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_message_ends_the_connection_without_an_answer(
    kind: str, listening: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "authsvc.channel"):
        with listening.greeted() as tls:
            try:
                tls.sendall(HOSTILE[kind])
            except ConnectionError:
                pass  # refused by its header, before all of it was sent
            tls.settimeout(5)
            try:
                assert tls.recv(1) == b""
            except ConnectionError:
                pass  # closed with our bytes unread
        listening.acceptor.stop()
    assert "refused dn='/O=fdt-test/CN=Test User'" in caplog.text
    assert "Traceback" not in caplog.text


def test_an_honest_message_made_by_hand_is_answered(listening: Listening) -> None:
    with listening.greeted() as tls:
        tls.sendall(frame(call({"n": [1, b"\xff", None, True, 1.5, "é"]})))
        flags, kind, value = receive_frame(tls)
        assert flags in (0, 64)
        assert kind == 5
        assert value == {"ok": {"n": [1, b"\xff", None, True, 1.5, "é"]}}


def test_a_hostile_caller_does_not_disturb_another(listening: Listening) -> None:
    with listening.open() as honest, listening.greeted() as hostile:
        hostile.sendall(HOSTILE["marshal"])
        wait_closed(hostile)
        assert honest.call("echo", {"still": "here"}, 5) == {"still": "here"}


def test_dripping_a_message_buys_no_time(pki: Pki) -> None:
    with Listening(pki, limits=ChannelLimits(frame_s=0.4)) as listening, listening.greeted() as tls:
        start = time.monotonic()
        tls.settimeout(0.05)
        closed = False
        for byte in frame(call({"x": "y" * 400})):
            try:
                tls.sendall(bytes([byte]))
                closed = tls.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                closed = True
            if closed:
                break
        assert closed
        assert time.monotonic() - start < 2.0


def test_a_caller_who_does_not_read_his_answers_is_dropped(pki: Pki) -> None:
    with Listening(pki, limits=ChannelLimits(frame_s=0.4)) as listening, listening.greeted() as tls:
        listening.calls["much"] = lambda _argument: {"x": bytes(3 << 20)}
        message = frame(call({}, name="much"))
        start = time.monotonic()
        # Answers pile up unread until the server can send no more, and gives up.
        tls.settimeout(5)
        with pytest.raises(OSError):
            while time.monotonic() - start < 5:
                tls.sendall(message)
        assert time.monotonic() - start < 4


def test_an_error_of_the_handler_travels_as_a_value(listening: Listening) -> None:
    def busy(_argument: object) -> dict[str, object]:
        raise DestinationBusy("/data/x is being written")

    listening.calls["busy"] = busy  # type: ignore[assignment]  # never returns
    with listening.open() as connection:
        with pytest.raises(RemoteProblem) as refused:
            connection.call("busy", {}, 5)
        assert refused.value.remote.code == "destination-busy"
        assert refused.value.remote.retryable
        assert connection.call("echo", {"after": 1}, 5) == {"after": 1}


def test_a_crash_of_the_handler_travels_as_an_incident_and_stays_in_the_log(
    listening: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    def crash(_argument: object) -> dict[str, object]:
        raise RuntimeError("the secret is 12345")

    listening.calls["crash"] = crash  # type: ignore[assignment]  # never returns
    with caplog.at_level(logging.ERROR, "authsvc.channel"), listening.open() as connection:
        with pytest.raises(RemoteProblem) as refused:
            connection.call("crash", {}, 5)
        assert refused.value.remote.code == "internal"
        assert "12345" not in str(refused.value)
        assert connection.call("echo", {"after": 1}, 5) == {"after": 1}
    assert refused.value.remote.reason.split()[-1] in caplog.text
    assert "RuntimeError: the secret is 12345" in caplog.text


@pytest.mark.parametrize("value", [bytes(5 << 20), {1, 2}, EXIT_MAP, object(), 1 << 70])
def test_an_answer_that_may_not_travel_becomes_a_problem(value: object, listening: Listening) -> None:
    listening.calls["odd"] = lambda _argument: {"x": value}  # type: ignore[dict-item]  # odd on purpose
    with listening.open() as connection, pytest.raises(RemoteProblem):
        connection.call("odd", {}, 5)
