"""The two short JSON texts that come before Pyro5: what the client wants, and what the server makes of him.

JSON with a four-byte length, so that a client of any language can read why it was refused; docs/protocol.md has the
form.  Decides the form and its bounds, not who is let in.
"""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import field
from typing import Final

from authsvc.channel.guard import receive_exactly, send_by
from fdtcp.errors import Problem, ProtocolViolation, RemoteProblem, one_line
from fdtcp.value import dataclass

_LENGTH: Final = struct.Struct("!I")
# A DN of a few hundred bytes and an error of a few more; a stranger must not make us allocate.
MAX_HELLO_BYTES: Final = 16 << 10


@dataclass(frozen=True, slots=True)
class Request:
    """What the client says first: the account it would like (None: the default one), its version, a bearer token."""

    account: str | None
    version: str
    token: str | None = field(default=None, repr=False)  # whoever reads it can use it

    def encode(self) -> dict[str, object]:
        """Return the request as a JSON object's map."""
        said: dict[str, object] = {"account": self.account, "version": self.version}
        return said if self.token is None else said | {"token": self.token}

    @classmethod
    def decode(cls, value: object) -> Request:
        """Read what `encode` made.  Raises ProtocolViolation."""
        match value:
            case {"account": str() | None as account, "version": str(version), "token": str() | None as token}:
                return cls(account, one_line(version), token)
            case {"account": str() | None as account, "version": str(version), **rest} if "token" not in rest:
                return cls(account, one_line(version))
        raise ProtocolViolation("the client's hello must be a map with account and version")


@dataclass(frozen=True, slots=True)
class Hello:
    """What the server says to a caller that it lets in."""

    dn: str
    account: str
    limited: bool
    version: str

    def encode(self) -> dict[str, object]:
        """Return the hello as a JSON object's map."""
        return {"ok": True, "dn": self.dn, "account": self.account, "limited": self.limited, "version": self.version}

    @classmethod
    def decode(cls, value: object) -> Hello:
        """Read the server's hello.  Raises RemoteProblem if it is a refusal, ProtocolViolation if it is neither."""
        match value:
            case {
                "ok": True,
                "dn": str(dn),
                "account": str(account),
                "limited": bool(limited),
                "version": str(version),
            }:
                return cls(one_line(dn), one_line(account), limited, one_line(version))
            case {"ok": False, "error": dict(problem)}:
                raise RemoteProblem(Problem.decode(problem))
        raise ProtocolViolation("the server's hello must be a map with ok and either a name or an error")


def encode_refusal(problem: Problem) -> dict[str, object]:
    """Return the hello of a server that does not let the caller in."""
    return {"ok": False, "error": problem.encode()}


def send_json(sock: socket.socket, value: dict[str, object], deadline: float) -> None:
    """Send one text before the deadline.  Raises OSError."""
    text = json.dumps(value).encode()
    send_by(sock, _LENGTH.pack(len(text)) + text, deadline)


def receive_json(sock: socket.socket, deadline: float) -> object:
    """Receive one text before the deadline.  Raises OSError, or ProtocolViolation for what is not JSON."""
    (size,) = _LENGTH.unpack(receive_exactly(sock, _LENGTH.size, deadline))
    if size > MAX_HELLO_BYTES:
        raise ProtocolViolation(f"a hello of {size} bytes is over the limit of {MAX_HELLO_BYTES}")
    try:
        value: object = json.loads(receive_exactly(sock, size, deadline))
    except (ValueError, RecursionError) as exc:
        raise ProtocolViolation(f"a hello is not proper JSON: {exc}") from exc
    return value
