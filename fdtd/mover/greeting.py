"""The handshake on a real socket.

Decides the order of the frames (see `handshake` for what they prove) and one deadline for all of it.
"""

from __future__ import annotations

import os
import socket
import time

from fdtcp.errors import ProtocolViolation
from fdtcp.model.order import Checksum
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
from fdtd.mover.handshake import CONNECTOR, LISTENER, is_proven, prove
from fdtd.mover.streams import StreamBroken, send_all


class Deadline:
    """Gives a socket only what is left of one time limit for all its reads and writes."""

    def __init__(self, stream: socket.socket, seconds: float) -> None:
        self._stream = stream
        self._end = time.monotonic() + seconds

    def read(self, kind: Kind) -> tuple[int, bytes]:
        """Read one control frame of that kind; returns its `file` field and payload."""
        header = decode_header(self._take(HEADER_BYTES))
        if header.kind is not kind:
            raise ProtocolViolation(f"a {header.kind.name} where {kind.name} was due")
        check_header(header)
        payload = self._take(header.length)
        check_payload(header, payload)
        return header.file, payload

    def _take(self, count: int) -> bytes:
        """Read exactly so many bytes; a peer that sends them one by one gets no more time for it."""
        data = b""
        while len(data) < count:
            left = self._end - time.monotonic()
            if left <= 0:
                raise StreamBroken("the handshake took too long")
            self._stream.settimeout(left)
            try:
                piece = self._stream.recv(count - len(data))
            except OSError as exc:
                raise StreamBroken(f"receiving: {exc.strerror or 'no byte for too long'}") from exc
            if not piece:
                raise StreamBroken("the stream ended")
            data += piece
        return data


def greet(stream: socket.socket, number: int, job: bytes, checksum: Checksum, secret: bytes, seconds: float) -> None:
    """Open a stream as the connector.  Raises StreamBroken, ProtocolViolation."""
    deadline = Deadline(stream, seconds)
    mine = os.urandom(NONCE_BYTES)
    send_all(stream, encode_hello(number, Hello(job, checksum, mine)))
    _, theirs = deadline.read(Kind.CHALLENGE)
    nonces = (mine, theirs)
    send_all(stream, encode_auth(prove(secret, CONNECTOR, job, number, nonces)))
    _, proof = deadline.read(Kind.AUTH)
    if not is_proven(proof, prove(secret, LISTENER, job, number, nonces)):
        raise ProtocolViolation("the listener does not know the job's secret")


def answer(stream: socket.socket, job: bytes, checksum: Checksum, secret: bytes, seconds: float) -> int:
    """Open a stream as the listener; returns its number.  Raises StreamBroken, ProtocolViolation."""
    deadline = Deadline(stream, seconds)
    number, payload = deadline.read(Kind.HELLO)
    hello = decode_hello(payload)
    mine = os.urandom(NONCE_BYTES)
    send_all(stream, encode_challenge(mine))
    _, proof = deadline.read(Kind.AUTH)
    nonces = (hello.nonce, mine)
    if not is_proven(proof, prove(secret, CONNECTOR, hello.job, number, nonces)) or hello.job != job:
        raise ProtocolViolation("the connector does not know the job's secret")
    if hello.checksum is not checksum:
        raise ProtocolViolation(f"the connector sums with {hello.checksum}, the job with {checksum}")
    send_all(stream, encode_auth(prove(secret, LISTENER, job, number, nonces)))
    return number
