"""One connection's object: the single method that Pyro5 exposes, and the loop that serves it.

Decides how a handler's result or failure travels: `{"ok": map}` or `{"error": problem}`, never an exception, never a
traceback.  What the calls mean is the handler's; who the caller is was decided before.

The one module of the server's side that imports Pyro5: PYRO_* variables can make that import fail, so it happens when
an acceptor starts, after the program's main had its say (`authsvc.channel.pyro`).
"""

from __future__ import annotations

import logging
import ssl
import time
from typing import Final

import msgpack
from Pyro5.server import Daemon, expose

from authsvc.channel import frames
from authsvc.channel.caller import Caller, Handler
from authsvc.channel.guard import GuardedSocket
from authsvc.channel.incident import note_incident
from authsvc.channel.limits import MAX_MESSAGE_BYTES, ChannelLimits
from authsvc.channel.values import Value, check
from authsvc.identity import Identity
from fdtcp.errors import FdtError, InternalError, Phase, Side

_log: Final = logging.getLogger("authsvc.channel")


@expose
class Session:
    """What Pyro5 sees of one connection.  Made for one caller, so it needs to look up nobody."""

    def __init__(self, caller: Caller, handler: Handler) -> None:
        self._caller = caller
        self._handler = handler

    def call(self, name: str, argument: dict[str, Value]) -> dict[str, object]:
        """Run one call and return its result or its problem as plain values."""
        try:
            reply: dict[str, object] = {"ok": self._handler(name, argument)}
            check(reply)
            size = len(msgpack.packb(reply))
            if size > MAX_MESSAGE_BYTES - frames.HEADER_BYTES:
                raise InternalError(f"the answer to {name!r} would have {size} bytes, over the limit of a message")
        except FdtError as exc:
            return refusal(exc, Phase.SERVICE)
        except Exception as exc:  # noqa: BLE001  # the boundary of the process: the peer gets a code, the log the rest
            where = f"call={name!r} dn={self._caller.identity.dn!r} peer={self._caller.peer}"
            return refusal(note_incident(where, exc), Phase.SERVICE)
        return reply


def refusal(error: FdtError, phase: Phase) -> dict[str, object]:
    """Return an error as a reply.  A daemon does not know which end of a transfer it serves; the client re-sides it."""
    return {"error": error.problem(Side.DESTINATION, phase).encode()}


class CallerDeadlines:
    """How long a known caller may be silent: until he is idle for too long, or until his credential ends."""

    def __init__(self, identity: Identity, limits: ChannelLimits) -> None:
        self._identity = identity
        self._limits = limits

    def first_byte(self) -> float:
        """Return until when the next call may begin."""
        # The credential's end is wall-clock time; looking anew each time follows a clock that is set.
        valid = self._identity.not_after - time.time()
        return time.monotonic() + min(self._limits.idle_s, valid)

    def rest(self) -> float:
        """Return until when a call that has begun must be here, or a reply gone."""
        return time.monotonic() + self._limits.frame_s


def serve(tls: ssl.SSLSocket, caller: Caller, handler: Handler, limits: ChannelLimits) -> None:
    """Answer calls until the caller leaves, falls silent, breaks the protocol or his credential ends."""
    guard = GuardedSocket(tls, CallerDeadlines(caller.identity, limits), frames.INVOKE, frames.check_call)
    with Daemon(connected_socket=guard) as daemon:
        daemon.register(Session(caller, handler), frames.OBJECT)
        # Not requestLoop(): after a refused message it would go on reading.
        while daemon.transportServer.handleRequest():
            pass
    if guard.violation is not None:
        _log.warning("refused dn=%r peer=%s reason=%r", caller.identity.dn, caller.peer, guard.violation.reason)
