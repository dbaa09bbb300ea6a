"""The door of a mover that listens: its sockets, and who is let in.

Decides that strangers cost little: a bounded number of them, each for a few seconds, before any thread or buffer of a
stream exists for them longer than that.  Who comes when the bound is reached takes the place of the one that has been
silent longest: a crowd of silent strangers must not keep the peer out.  The addresses of peers are defence in depth;
the secret decides.  What an admitted stream does, reading or writing, is its maker's.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Final, Generic

from fdtcp.errors import PortsExhausted, ProtocolViolation
from fdtcp.model.order import Endpoint, Listen, Policy, Role
from fdtd.mover.distance import spread_over
from fdtd.mover.greeting import Greeting, answer
from fdtd.mover.log import Log
from fdtd.mover.roster import Roster, S
from fdtd.mover.streams import StreamBroken, Wire, hang_up, keep_short, listen, name_of, path_of, tune

if TYPE_CHECKING:
    from ssl import SSLContext

# WIRE.md, "Security".
MAX_STRANGERS: Final = 64
HANDSHAKE_S: Final = 5.0

# There are no descriptors left for a moment: who waits at the door waits a little longer.
_CROWDED_S: Final = 0.1

_CROWDED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Door(Generic[S]):
    """Listens, authenticates, and gives each stream a thread."""

    def __init__(self, order: Listen, policy: Policy, greeting: Greeting, roster: Roster[S], log: Log) -> None:
        self._order = order
        self._policy = policy
        self._greeting = greeting
        self._roster = roster
        self._log = log
        self._context: SSLContext | None = None
        if order.credential:
            from fdtd.mover.sealing import listener_context

            self._context = listener_context(order.credential)
        self._peers = frozenset(str(ipaddress.ip_address(peer)) for peer in order.peers)
        self._listeners: list[socket.socket] = []
        self._strangers: dict[socket.socket, None] = {}  # not yet authenticated, in the order in which they came
        self._strangers_lock = threading.Lock()
        # Readable once nobody is let in any more.
        self._closed, self._close = os.pipe2(os.O_CLOEXEC)

    def open(self) -> tuple[Endpoint, ...]:
        """Listen on each address.  Raises PortsExhausted, ProtocolViolation."""
        endpoints = []
        for address in self._order.addresses:
            try:
                listener = listen(address, self._order.ports, self._policy, self._receiver(address))
            except (OSError, ValueError) as exc:
                raise ProtocolViolation(f"cannot listen on {address}: {exc}") from exc
            if listener is None:
                raise PortsExhausted(f"all {len(self._order.ports)} data ports of {address} are taken")
            self._listeners.append(listener)
            endpoints.append(Endpoint(address, listener.getsockname()[1]))
            self._log.event("listen", endpoint=name_of(listener.getsockname()), encrypted=self._context is not None)
        threading.Thread(target=self._accept, name="door", daemon=True).start()
        return tuple(endpoints)

    def close(self) -> None:
        """Let nobody in any more."""
        os.close(self._close)
        for listener in self._listeners:
            listener.close()

    def _receiver(self, address: str) -> str:
        """Return an address to which data will be sent from ours; "" if we only send answers."""
        if self._greeting.role is not Role.READER:
            return ""
        return self._order.peers[0] if self._order.peers else address

    # --- who comes ----------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        poll = select.poll()
        poll.register(self._closed, select.POLLIN)
        by_descriptor = {listener.fileno(): listener for listener in self._listeners}
        for listener in self._listeners:
            listener.setblocking(False)
            poll.register(listener, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._closed:
                    return
                try:
                    stream, address = by_descriptor[descriptor].accept()
                except OSError as exc:
                    # It went away between poll and accept; or it still waits, and the next poll returns at once.
                    if exc.errno in _CROWDED:
                        time.sleep(_CROWDED_S)
                    continue
                self._admit(stream, address[0])

    def _admit(self, stream: socket.socket, address: str) -> None:
        if self._peers and str(ipaddress.ip_address(address)) not in self._peers:
            self._refuse(address, "not one of the peers")
            stream.close()
            return
        with self._strangers_lock:
            if len(self._strangers) >= MAX_STRANGERS:
                oldest = next(iter(self._strangers))
                del self._strangers[oldest]
                # Its thread, which closes it, notices.
                self._refuse(address, "silent for longest of too many strangers")
                hang_up(oldest)
            self._strangers[stream] = None
        threading.Thread(target=self._receive, args=(stream, address), name=f"from {address}", daemon=True).start()

    def _receive(self, raw: socket.socket, address: str) -> None:
        with raw:
            try:
                try:
                    stream, number = self._authenticate(raw, time.monotonic() + HANDSHAKE_S)
                finally:
                    with self._strangers_lock:
                        self._strangers.pop(raw, None)
                tune(raw, self._policy)
                path = path_of(raw)
                self._roster.note_path(path)
                if spread_over(path.round_trip_s, 1).is_far:
                    keep_short(raw)
                self._roster.carry(stream, number, raw)
            except (StreamBroken, ProtocolViolation, OSError) as exc:
                self._refuse(address, getattr(exc, "reason", str(exc)))

    def _authenticate(self, raw: socket.socket, end: float) -> tuple[Wire, int]:
        """Return the stream of a peer that has proven itself, and its number.  Raises StreamBroken and others."""
        if self._context is None:
            return raw, answer(raw, self._greeting, end)
        from fdtd.mover.sealing import SealedStream

        sealed = SealedStream(raw, self._context, is_listener=True)
        sealed.shake_hands(end)
        return sealed, answer(sealed, self._greeting, end)

    def _refuse(self, address: str, reason: str) -> None:
        self._log.trouble("stranger-refused", address=address, reason=reason)
