"""The handshake between two sockets, with honest and dishonest ends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from fdtcp.errors import FdtError, ProtocolViolation
from fdtcp.model.order import Checksum
from fdtd.mover.frames import NONCE_BYTES, encode_auth, encode_challenge
from fdtd.mover.greeting import answer, greet
from fdtd.mover.streams import StreamBroken

JOB, SECRET = bytes(range(16)), b"s" * 32


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def listen_in_thread(stream: socket.socket, secret: bytes, checksum: Checksum) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []

    def run() -> None:
        try:
            results.append(answer(stream, JOB, checksum, secret, 2.0))
        except FdtError as exc:
            results.append(exc)
            stream.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def test_both_ends_agree(pair: tuple[socket.socket, socket.socket]) -> None:
    thread, results = listen_in_thread(pair[1], SECRET, Checksum.ADLER32)
    greet(pair[0], 9, JOB, Checksum.ADLER32, SECRET, 2.0)
    thread.join()
    assert results == [9]


@pytest.mark.parametrize(
    ("job", "secret", "checksum"),
    [
        (JOB, b"x" * 32, Checksum.ADLER32),
        (bytes(16), SECRET, Checksum.ADLER32),
        (JOB, SECRET, Checksum.CRC32),
    ],
)
def test_any_difference_ends_the_stream(
    pair: tuple[socket.socket, socket.socket], job: bytes, secret: bytes, checksum: Checksum
) -> None:
    thread, results = listen_in_thread(pair[1], SECRET, Checksum.ADLER32)
    with pytest.raises(StreamBroken):
        greet(pair[0], 1, job, checksum, secret, 2.0)
    thread.join()
    assert isinstance(results[0], ProtocolViolation)


def test_a_listener_that_does_not_know_the_secret_gets_no_data(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].sendall(encode_challenge(bytes(NONCE_BYTES)) + encode_auth(bytes(32)))
    with pytest.raises(ProtocolViolation, match="does not know"):
        greet(pair[0], 1, JOB, Checksum.ADLER32, SECRET, 2.0)


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
        answer(pair[1], JOB, Checksum.ADLER32, SECRET, 0.2)
    assert time.monotonic() - began < 1.0
    stop.set()
    thread.join()
