"""Pyro5 messages made by hand, honest and hostile."""

from __future__ import annotations

import ssl
import struct

import msgpack

from tests.authsvc.listening import receive

INVOKE, RESULT = 4, 5
HEADER = struct.Struct("!4sHBBHHII16sHH")

# Maps that Pyro5's serialiser would turn into live objects.
PROXY_MAP = {
    "__class__": "Pyro5.client.Proxy",
    "state": ["PYRO:x@127.0.0.1:9", [], [], [], "hello", "msgpack"],
}
EXIT_MAP = {"__class__": "builtins.SystemExit", "__exception__": True, "args": [0], "attributes": {}}


def frame(
    payload: bytes,
    *,
    kind: int = INVOKE,
    serializer: int = 4,
    flags: int = 0,
    size: int | None = None,
    annotations: bytes = b"",
    tag: bytes = b"PYRO",
    version: int = 502,
    magic: int = 0x4DC5,
) -> bytes:
    """Make one message; `size` may lie."""
    length = len(payload) if size is None else size
    header = HEADER.pack(tag, version, kind, serializer, flags, 1, length, len(annotations), bytes(16), 0, magic)
    return header + annotations + payload


def call(argument: object, *, name: object = "echo", method: object = "call", target: object = "session") -> bytes:
    """Make the payload of a call."""
    packed: bytes = msgpack.packb([target, method, [name, argument], {}], use_bin_type=True)
    return packed


def receive_frame(tls: ssl.SSLSocket) -> tuple[int, int, object]:
    """Receive one message: its flags, its type and its value."""
    fields = HEADER.unpack(receive(tls, HEADER.size))
    kind, flags, size, annotations = fields[2], fields[4], fields[6], fields[7]
    receive(tls, annotations)
    return flags, kind, msgpack.unpackb(receive(tls, size), raw=False)
