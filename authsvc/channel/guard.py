"""The socket that Pyro5 gets to see: it reads whole, checked messages, and every wait on it has a deadline.

Decides how long a peer may take; what may pass is `authsvc.channel.frames`'.  Pyro5 runs unchanged on top of it, by its
public `connected_socket`, whatever its process-wide settings are.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from typing import Final, Protocol

from authsvc.channel import frames
from fdtcp.errors import ProtocolViolation

# Large enough to empty a TLS record of 16 KiB several times over, small enough not to matter per connection.
_PIECE: Final = 1 << 16


class Deadlines(Protocol):
    """When a peer has taken too long; monotonic times."""

    def first_byte(self) -> float:
        """Return until when a message may begin."""

    def rest(self) -> float:
        """Return until when a message that has begun, or one that is sent, must be complete."""


class Refused(OSError):
    """A message was refused.  An OSError, because that is what makes Pyro5 give a connection up without an answer."""


class GuardedSocket:
    """A TLS socket that lets checked messages pass in both directions, and nothing else.

    It offers the part of the socket interface that Pyro5 uses.  After a refusal `violation` says why.
    """

    def __init__(self, tls: ssl.SSLSocket, deadlines: Deadlines, incoming: int, check: Callable[[bytes], None]) -> None:
        """Guard `tls`; messages that arrive must be of type `incoming` and satisfy `check`."""
        self.violation: ProtocolViolation | None = None
        self.family = tls.family
        self._tls = tls
        self._deadlines = deadlines
        self._incoming = incoming
        self._outgoing = frames.RESULT if incoming == frames.INVOKE else frames.INVOKE
        self._check = check
        self._message = memoryview(b"")

    def recv(self, size: int, _flags: int = 0) -> bytes:
        """Return at most `size` bytes of a message that has been read whole and checked; b"" at the peer's end."""
        if not self._message:
            try:
                self._message = memoryview(self._read_message())
            except ProtocolViolation as exc:
                raise self._refuse(exc) from exc
        piece, self._message = self._message[:size], self._message[size:]
        return bytes(piece)

    def send(self, data: bytes) -> int:
        """Send one whole message before its deadline."""
        self.sendall(data)
        return len(data)

    def sendall(self, data: bytes) -> None:
        """Send one whole message before its deadline."""
        try:
            frames.Header.decode(data[: frames.HEADER_BYTES]).check(self._outgoing)
        except ProtocolViolation as exc:
            raise self._refuse(exc) from exc
        send_by(self._tls, data, self._deadlines.rest())

    def _refuse(self, violation: ProtocolViolation) -> Refused:
        self.violation = violation
        return Refused(violation.reason)

    def _read_message(self) -> bytes:
        first = receive_some(self._tls, frames.HEADER_BYTES, self._deadlines.first_byte())
        if not first:
            return b""
        deadline = self._deadlines.rest()
        start = first + receive_exactly(self._tls, frames.HEADER_BYTES - len(first), deadline)
        header = frames.Header.decode(start)
        header.check(self._incoming)
        payload = receive_exactly(self._tls, header.size, deadline)
        self._check(payload)
        return start + payload

    # What follows is here because Pyro5 asks for it.

    def getpeername(self) -> object:
        """Return the peer's address."""
        return self._tls.getpeername()

    def getsockname(self) -> object:
        """Return the local address."""
        return self._tls.getsockname()

    def getpeercert(self) -> None:
        """Mark this as a TLS socket, so that Pyro5 passes no receive flags; who the peer is has been decided."""

    def gettimeout(self) -> float | None:
        """Return None: Pyro5 then sends by `sendall`; the deadlines are kept here."""
        return None

    def settimeout(self, timeout: float | None) -> None:
        """Do nothing: the deadlines are kept here."""

    def fileno(self) -> int:
        """Return the descriptor, -1 when closed."""
        return self._tls.fileno()

    def shutdown(self, how: int) -> None:
        """Close the connection in both directions below TLS, which wakes a thread that waits in it."""
        socket.socket.shutdown(self._tls, how)

    def close(self) -> None:
        """Close the socket."""
        self._tls.close()


def receive_some(sock: socket.socket, size: int, deadline: float) -> bytes:
    """Return 1 to `size` bytes, b"" at the peer's end.  Raises TimeoutError at the deadline, OSError on trouble."""
    sock.settimeout(remaining(deadline))
    return sock.recv(size)


def receive_exactly(sock: socket.socket, size: int, deadline: float) -> bytes:
    """Return exactly `size` bytes.  Raises TimeoutError at the deadline, ConnectionError if the peer ends before."""
    data = bytearray()
    while len(data) < size:
        piece = receive_some(sock, min(_PIECE, size - len(data)), deadline)
        if not piece:
            raise ConnectionError(f"the peer closed the connection after {len(data)} of {size} bytes")
        data += piece
    return bytes(data)


def send_by(sock: socket.socket, data: bytes, deadline: float) -> None:
    """Send all of `data` before the deadline, however slowly the peer reads.  Raises TimeoutError, OSError."""
    rest = memoryview(data)
    while rest:
        sock.settimeout(remaining(deadline))
        rest = rest[sock.send(rest[:_PIECE]) :]


def remaining(deadline: float) -> float:
    """Return the seconds until `deadline`; raises TimeoutError when it has passed (0 would mean: do not wait)."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left
