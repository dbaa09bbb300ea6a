"""Pyro5's message header, and which messages may pass in which direction.

Decides what Pyro5 gets to see.  Its own checks come late (the size after four gigabytes were promised, before
decompression) and know features that we do not want to offer: other serialisers, marshal in annotations, batches,
streams, one-way calls, exceptions as live objects.  Pure; the socket around it is `authsvc.channel.guard`.
"""

from __future__ import annotations

import struct
from typing import Final

from authsvc.channel.limits import MAX_MESSAGE_BYTES
from authsvc.channel.values import decode
from fdtcp.errors import ProtocolViolation
from fdtcp.value import dataclass

# Pyro5/protocol.py: tag, version, type, serialiser, flags, sequence, payload, annotations, correlation, 0, magic.
_HEADER: Final = struct.Struct("!4sHBBHHII16sHH")
HEADER_BYTES: Final = _HEADER.size
_VERSION: Final = 502
_MAGIC: Final = 0x4DC5
_MSGPACK: Final = 4
INVOKE: Final = 4
RESULT: Final = 5
_FLAG_EXCEPTION: Final = 1
_FLAG_COMPRESSED: Final = 2
# The correlation id is the only feature of the header that we let through: sixteen bytes that nobody interprets.
_FLAG_CORRELATION: Final = 64

# The one object and the one method that a connection offers.
OBJECT: Final = "session"
METHOD: Final = "call"


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a Pyro5 header that decide whether a message may pass."""

    kind: int
    serializer: int
    flags: int
    size: int
    annotations: int

    @classmethod
    def decode(cls, data: bytes) -> Header:
        """Read 40 bytes.  Raises ProtocolViolation unless they are a header of Pyro5's protocol 502."""
        tag, version, kind, serializer, flags, _, size, annotations, _, _, magic = _HEADER.unpack(data)
        if tag != b"PYRO" or magic != _MAGIC:
            raise ProtocolViolation("what arrived is not a message of Pyro5")
        if version != _VERSION:
            raise ProtocolViolation(f"the peer speaks Pyro protocol {version}, not {_VERSION}")
        return cls(kind, serializer, flags, size, annotations)

    def check(self, kind: int) -> None:
        """Raise ProtocolViolation unless this is a plain message of `kind` within the limits."""
        if self.kind != kind:
            raise ProtocolViolation(f"a message of type {self.kind} arrived where {kind} was due")
        if self.flags & _FLAG_COMPRESSED:
            raise ProtocolViolation("a message is compressed, which is not used on this channel")
        if self.flags & _FLAG_EXCEPTION:
            raise ProtocolViolation("an exception arrived as an object; errors travel as plain values")
        if self.flags & ~_FLAG_CORRELATION:
            raise ProtocolViolation(f"a message has flags that are not used on this channel ({self.flags:#x})")
        if self.serializer != _MSGPACK:
            raise ProtocolViolation(f"a message uses serialiser {self.serializer}; only msgpack ({_MSGPACK}) is used")
        if self.annotations:
            raise ProtocolViolation("a message has annotations, which are not used on this channel")
        if self.size > MAX_MESSAGE_BYTES:
            raise ProtocolViolation(f"a message of {self.size} bytes is over the limit of {MAX_MESSAGE_BYTES}")


def check_call(payload: bytes) -> None:
    """Check what a client sent: a call of our one method with a name and a map.  Raises ProtocolViolation."""
    match decode(payload):
        case [str(target), str(method), [str(), dict()], dict(options)] if not options:
            if (target, method) == (OBJECT, METHOD):
                return
    raise ProtocolViolation(f"a call must be {OBJECT}.{METHOD}(name, argument)")


def check_reply(payload: bytes) -> None:
    """Check what a server sent: a map with exactly one of `ok` and `error`.  Raises ProtocolViolation."""
    match decode(payload):
        case {"ok": dict(), **rest} | {"error": dict(), **rest} if not rest:
            return
    raise ProtocolViolation("a reply must be a map with either ok or error")
