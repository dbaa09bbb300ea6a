"""The handshake between two sockets, with honest and dishonest ends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from fdtcp.errors import FdtError, ProtocolViolation
from fdtcp.model.order import Checksum, Role
from fdtd.mover.frames import (
    HEADER_BYTES,
    HELLO_BYTES,
    NONCE_BYTES,
    PROOF_BYTES,
    decode_hello,
    encode_auth,
    encode_challenge,
)
from fdtd.mover.greeting import Greeting, answer, greet
from fdtd.mover.streams import StreamBroken

JOB, SECRET = bytes(range(16)), b"s" * 32


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def greeting(
    role: Role, job: bytes = JOB, checksum: Checksum = Checksum.ADLER32, secret: bytes = SECRET, pin: bytes = b""
) -> Greeting:
    return Greeting(role, job, checksum, secret, pin)


def soon() -> float:
    return time.monotonic() + 2.0


def listen_in_thread(stream: socket.socket, listener: Greeting) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []

    def run() -> None:
        try:
            results.append(answer(stream, listener, soon()))
        except FdtError as exc:
            results.append(exc)
            stream.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


@pytest.mark.parametrize("connector", [Role.READER, Role.WRITER])
@pytest.mark.parametrize("pin", [b"", b"p" * 32])
def test_both_ends_agree_whoever_connects(
    pair: tuple[socket.socket, socket.socket], connector: Role, pin: bytes
) -> None:
    listener = Role.WRITER if connector is Role.READER else Role.READER
    thread, results = listen_in_thread(pair[1], greeting(listener, pin=pin))
    greet(pair[0], 9, greeting(connector, pin=pin), soon())
    thread.join()
    assert results == [9]


@pytest.mark.parametrize(
    "connector",
    [
        greeting(Role.READER, secret=b"x" * 32),
        greeting(Role.READER, job=bytes(16)),
        greeting(Role.READER, checksum=Checksum.CRC32),
        greeting(Role.READER, pin=b"p" * 32),
        greeting(Role.WRITER),
    ],
    ids=["secret", "job", "checksum", "encryption", "two writers"],
)
def test_any_difference_ends_the_stream(pair: tuple[socket.socket, socket.socket], connector: Greeting) -> None:
    thread, results = listen_in_thread(pair[1], greeting(Role.WRITER))
    with pytest.raises(StreamBroken):
        greet(pair[0], 1, connector, soon())
    thread.join()
    assert isinstance(results[0], ProtocolViolation)


def test_a_listener_that_does_not_know_the_secret_gets_no_data(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].sendall(encode_challenge(bytes(NONCE_BYTES)) + encode_auth(bytes(32)))
    with pytest.raises(ProtocolViolation, match="does not know"):
        greet(pair[0], 1, greeting(Role.READER), soon())


@pytest.mark.parametrize("role", [Role.READER, Role.WRITER])
def test_a_mirror_proves_nothing(pair: tuple[socket.socket, socket.socket], role: Role) -> None:
    """Whoever sends our own nonce and proof back to us, as listener, is not the other end."""

    def reflect() -> None:
        hello = pair[1].recv(HEADER_BYTES + HELLO_BYTES, socket.MSG_WAITALL)
        pair[1].sendall(encode_challenge(decode_hello(hello[HEADER_BYTES:]).nonce))
        pair[1].sendall(pair[1].recv(HEADER_BYTES + PROOF_BYTES, socket.MSG_WAITALL))

    thread = threading.Thread(target=reflect)
    thread.start()
    with pytest.raises(ProtocolViolation, match="does not know"):
        greet(pair[0], 1, greeting(role), soon())
    thread.join()


def test_a_drip_of_bytes_does_not_stretch_the_deadline(pair: tuple[socket.socket, socket.socket]) -> None:
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.02):
            try:
                pair[0].send(b"x")
            except OSError:
                return

    thread = threading.Thread(target=drip)
    thread.start()
    began = time.monotonic()
    with pytest.raises((StreamBroken, ProtocolViolation)):
        answer(pair[1], greeting(Role.WRITER), time.monotonic() + 0.2)
    assert time.monotonic() - began < 1.0
    stop.set()
    thread.join()
