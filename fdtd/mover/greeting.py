"""The handshake on a real socket.

Decides the order of the frames (see `handshake` for what they prove) and that one deadline holds for all of it.
"""

from __future__ import annotations

import os
import time
from dataclasses import field

from fdtcp.errors import ProtocolViolation
from fdtcp.model.order import Checksum, Role
from fdtcp.value import dataclass
from fdtd.mover.frames import (
    HEADER_BYTES,
    NONCE_BYTES,
    Hello,
    Kind,
    check_header,
    check_payload,
    decode_header,
    decode_hello,
    encode_auth,
    encode_challenge,
    encode_hello,
)
from fdtd.mover.handshake import CONNECTOR, LISTENER, READER, WRITER, is_proven, prove
from fdtd.mover.streams import StreamBroken, Wire, send_all


@dataclass(frozen=True, slots=True)
class Greeting:
    """What both ends of each stream of a job must agree on; `role` is what we are in it."""

    role: Role
    job: bytes  # 16 bytes
    checksum: Checksum
    secret: bytes = field(repr=False)
    fingerprint: bytes = b""  # of the listener's certificate; empty: the streams are not encrypted

    def proofs(self, connector: Role, stream: int, nonces: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        """Return the connector's and the listener's proof; of two ends that play the same role none is right."""
        roles = (READER, WRITER) if connector is Role.READER else (WRITER, READER)
        ends = (CONNECTOR + roles[0], LISTENER + roles[1])
        one, other = (prove(self.secret, end, self.job, stream, nonces, self.fingerprint) for end in ends)
        return one, other


class Deadline:
    """Gives a socket only what is left until `end` (monotonic) for all its reads and writes."""

    def __init__(self, stream: Wire, end: float) -> None:
        self._stream = stream
        self._end = end

    def read(self, kind: Kind) -> tuple[int, bytes]:
        """Read one control frame of that kind; returns its `file` field and payload."""
        header = decode_header(self._take(HEADER_BYTES))
        if header.kind is not kind:
            raise ProtocolViolation(f"a {header.kind.name} where {kind.name} was due")
        check_header(header)
        payload = self._take(header.length)
        check_payload(header, payload)
        return header.file, payload

    def write(self, data: bytes) -> None:
        """Send a frame."""
        self._limit()
        send_all(self._stream, data)

    def _take(self, count: int) -> bytes:
        """Read exactly so many bytes; a peer that sends them one by one gets no more time for it."""
        data = b""
        while len(data) < count:
            self._limit()
            try:
                piece = self._stream.recv(count - len(data))
            except OSError as exc:
                raise StreamBroken(f"receiving: {exc.strerror or 'no byte for too long'}") from exc
            if not piece:
                raise StreamBroken("the stream ended")
            data += piece
        return data

    def _limit(self) -> None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise StreamBroken("the handshake took too long")
        self._stream.settimeout(left)


def greet(stream: Wire, number: int, greeting: Greeting, end: float) -> None:
    """Open a stream as the connector, until `end` (monotonic).  Raises StreamBroken, ProtocolViolation."""
    deadline = Deadline(stream, end)
    mine = os.urandom(NONCE_BYTES)
    deadline.write(encode_hello(number, Hello(greeting.job, greeting.checksum, mine)))
    _, theirs = deadline.read(Kind.CHALLENGE)
    own, expected = greeting.proofs(greeting.role, number, (mine, theirs))
    deadline.write(encode_auth(own))
    _, proof = deadline.read(Kind.AUTH)
    if not is_proven(proof, expected):
        raise ProtocolViolation("the listener does not know the job's secret")


def answer(stream: Wire, greeting: Greeting, end: float) -> int:
    """Open a stream as the listener, until `end`; returns its number.  Raises StreamBroken, ProtocolViolation."""
    deadline = Deadline(stream, end)
    number, payload = deadline.read(Kind.HELLO)
    hello = decode_hello(payload)
    mine = os.urandom(NONCE_BYTES)
    deadline.write(encode_challenge(mine))
    _, proof = deadline.read(Kind.AUTH)
    connector = Role.WRITER if greeting.role is Role.READER else Role.READER
    expected, own = greeting.proofs(connector, number, (hello.nonce, mine))
    if hello.job != greeting.job or not is_proven(proof, expected):
        raise ProtocolViolation("the connector does not know the job's secret")
    if hello.checksum is not greeting.checksum:
        raise ProtocolViolation(f"the connector sums with {hello.checksum}, the job with {greeting.checksum}")
    deadline.write(encode_auth(own))
    return number
