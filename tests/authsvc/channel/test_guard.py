"""Waits and pieces; what is refused is in test_frames.py and test_session.py."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from authsvc.channel import frames, guard
from authsvc.channel.guard import GuardedSocket, Refused
from tests.authsvc.pyroframes import call, frame


class Soon:
    def first_byte(self) -> float:
        return time.monotonic() + 0.3

    def rest(self) -> float:
        return time.monotonic() + 0.3


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def guarded(sock: socket.socket) -> GuardedSocket:
    return GuardedSocket(sock, Soon(), frames.INVOKE, frames.check_call)  # type: ignore[arg-type]  # TLS does not matter


def test_a_message_is_handed_out_in_any_pieces(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    message = frame(call({"x": "y" * 100}))
    theirs.sendall(message * 2)
    sock = guarded(ours)
    taken = b"".join(sock.recv(size) for size in (6, 34, 50, 1000, 6, 34, 1000))
    assert taken == message * 2


def test_the_peers_end_is_an_end(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.close()
    assert guarded(ours).recv(6) == b""


def test_nothing_of_a_refused_message_is_handed_out(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(frame(call([])))
    sock = guarded(ours)
    with pytest.raises(Refused):
        sock.recv(6)
    assert sock.violation is not None


def test_silence_and_half_a_message_end_at_the_deadline(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    for data in (b"", frame(call({}))[:50]):
        theirs.sendall(data)
        with pytest.raises(TimeoutError):
            guarded(ours).recv(6)


def test_a_message_that_may_not_leave_does_not(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    sock = guarded(ours)
    for message in (frame(b"", kind=frames.RESULT, flags=1), frame(call({})), frame(b"", kind=frames.RESULT, flags=2)):
        with pytest.raises(Refused):
            sock.send(message)
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)


def test_a_peer_that_does_not_read_ends_at_the_deadline(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        guarded(ours).sendall(frame(bytes(4 << 20), kind=frames.RESULT))
    assert time.monotonic() - start < 2


def test_a_large_message_arrives_whole(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    data = bytes(range(256)) * 4096
    received: list[bytes] = []
    reader = threading.Thread(
        target=lambda: received.append(guard.receive_exactly(theirs, len(data), time.monotonic() + 5))
    )
    reader.start()
    guard.send_by(ours, data, time.monotonic() + 5)
    reader.join(5)
    assert received == [data]


def test_a_deadline_that_has_passed_is_no_wait() -> None:
    with pytest.raises(TimeoutError):
        guard.remaining(time.monotonic() - 1)


def test_what_pyro5_asks_of_a_socket_is_there(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    sock = guarded(ours)
    assert sock.fileno() == ours.fileno()
    assert sock.gettimeout() is None
    sock.settimeout(5)
    assert sock.getsockname() == ours.getsockname()
    assert sock.getpeername() == ours.getpeername()
    sock.shutdown(socket.SHUT_RDWR)
    assert theirs.recv(1) == b""
    sock.close()
    assert sock.fileno() == -1
