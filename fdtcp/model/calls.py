"""A table of calls: which name stands for which request, and what answers it.

Decides how requests and replies of any such table are written and checked; which calls there are is decided by
`fdtcp.contract` and `fdtcp.detached`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from fdtcp.errors import ProtocolViolation
from fdtcp.model.codec import decode_message, encode_message

Q = TypeVar("Q")  # the union of all requests
A = TypeVar("A")  # the union of all replies


class CallTable(Generic[Q, A]):
    """The calls by name; both directions, on both ends."""

    def __init__(self, calls: Mapping[str, tuple[type[Q], type[A]]]) -> None:
        self.calls = dict(calls)
        self._names = {request: name for name, (request, _) in calls.items()}

    def __contains__(self, name: str) -> bool:
        return name in self.calls

    def encode_request(self, request: Q) -> tuple[str, dict[str, object]]:
        """Return the call's name and its argument as plain values."""
        return self._names[type(request)], encode_message(request)

    def decode_request(self, name: str, argument: object) -> Q:
        """Read a call as it came over the channel.  Raises ProtocolViolation."""
        if name not in self.calls:
            raise ProtocolViolation(f"unknown call {name!r}")
        return decode_message(self.calls[name][0], argument)

    def encode_reply(self, reply: A) -> dict[str, object]:
        """Return the reply as plain values."""
        return encode_message(reply)

    def decode_reply(self, request: Q, plain: object) -> A:
        """Read the reply to `request`.  Raises ProtocolViolation."""
        return decode_message(self.calls[self._names[type(request)]][1], plain)
