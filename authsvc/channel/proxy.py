"""Pyro5's proxy, cut down to the one method of a session.  A module of its own, so that Pyro5 is loaded when needed."""

from __future__ import annotations

from Pyro5.client import Proxy

from authsvc.channel import frames
from authsvc.channel.guard import GuardedSocket


class SessionProxy(Proxy):  # type: ignore[misc]  # Pyro5 ships no types
    """A proxy on a guarded socket.  It does not ask the server which methods there are: there is one, `call`."""

    def __init__(self, guard: GuardedSocket) -> None:
        super().__init__(frames.OBJECT, connected_socket=guard)
        # Per proxy, because the process-wide default belongs to the program and not to us.
        self._pyroSerializer = "msgpack"

    def _pyroGetMetadata(self, objectId: object = None, known_metadata: object = None) -> None:  # noqa: N802, N803, ARG002  # Pyro5's names
        """Know the method without asking."""
        self._pyroMethods = {frames.METHOD}
