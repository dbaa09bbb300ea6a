"""The door of a writer: listening sockets, and who is let in.

Decides that strangers cost little: a bounded number of them, each for a few seconds, before any thread or buffer of a
stream exists for them longer than that.  Who comes when the bound is reached takes the place of the one that has been
silent longest: a crowd of silent strangers must not keep the reader out.  The addresses of peers are defence in depth;
the secret decides.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import select
import socket
import threading
import time
from collections import deque
from typing import Final

from fdtcp.errors import PortsExhausted, ProtocolViolation
from fdtcp.model.order import Endpoint, Listen, Policy, StreamProgress
from fdtd.mover.greeting import answer
from fdtd.mover.landing import Landing
from fdtd.mover.log import Log
from fdtd.mover.rate import WRITERS_BURST_S, RateLimit
from fdtd.mover.receiving import ReceivingStream
from fdtd.mover.streams import StreamBroken, hang_up, listen, name_of, tune

# WIRE.md, "Security".
MAX_STRANGERS: Final = 64
HANDSHAKE_S: Final = 5.0

# Each has a thread and a buffer; so many a job may have where its site does not say otherwise.
MAX_STREAMS: Final = 64

# There are no descriptors left for a moment: who waits at the door waits a little longer.
_CROWDED_S: Final = 0.1

_CROWDED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Door:
    """Listens, authenticates, and starts a thread for each stream."""

    def __init__(self, policy: Policy, job: bytes, landing: Landing, log: Log) -> None:
        self._streams: list[ReceivingStream] = []  # authenticated, and not at their end
        self._ended: deque[StreamProgress] = deque(maxlen=MAX_STREAMS)  # what the last ones have carried
        self._moved_by_ended = 0
        self._streams_lock = threading.Lock()
        # Twice: those that broke may not have noticed it yet.
        self._most_streams = 2 * max(MAX_STREAMS, policy.streams, policy.most_streams)
        self.entered = 0  # streams, ever
        self.said_bye = False  # one of them
        self.rate = RateLimit(policy.rate_limit, WRITERS_BURST_S)
        self._policy = policy
        self._job = job
        self._landing = landing
        self._log = log
        self._listeners: list[socket.socket] = []
        self._strangers: dict[socket.socket, None] = {}  # not yet authenticated, in the order in which they came
        self._strangers_lock = threading.Lock()
        self._peers: frozenset[str] = frozenset()
        self._secret = b""
        # Readable once nothing more is wanted; it wakes all threads, so nobody reads it.
        self._finished, self._finish = os.pipe2(os.O_CLOEXEC)

    def open(self, order: Listen) -> tuple[Endpoint, ...]:
        """Listen on each address.  Raises PortsExhausted, ProtocolViolation."""
        self._peers = frozenset(str(ipaddress.ip_address(peer)) for peer in order.peers)
        self._secret = order.secret
        endpoints = []
        for address in order.addresses:
            try:
                listener = listen(address, order.ports, self._policy)
            except (OSError, ValueError) as exc:
                raise ProtocolViolation(f"cannot listen on {address}: {exc}") from exc
            if listener is None:
                raise PortsExhausted(f"all {len(order.ports)} data ports of {address} are taken")
            self._listeners.append(listener)
            endpoints.append(Endpoint(address, listener.getsockname()[1]))
            self._log.event("listen", endpoint=name_of(listener.getsockname()))
        threading.Thread(target=self._accept, name="door", daemon=True).start()
        return tuple(endpoints)

    def close(self) -> None:
        """Let nobody in any more, and tell all streams that nothing more is wanted."""
        os.close(self._finish)
        for listener in self._listeners:
            listener.close()

    def _accept(self) -> None:
        poll = select.poll()
        poll.register(self._finished, select.POLLIN)
        by_descriptor = {listener.fileno(): listener for listener in self._listeners}
        for listener in self._listeners:
            listener.setblocking(False)
            poll.register(listener, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._finished:
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
            self._log.trouble("stranger-refused", address=address, reason="not one of the peers")
            stream.close()
            return
        with self._strangers_lock:
            if len(self._strangers) >= MAX_STRANGERS:
                oldest = next(iter(self._strangers))
                del self._strangers[oldest]
                self._show_out(oldest)
            self._strangers[stream] = None
        threading.Thread(target=self._receive, args=(stream,), name=f"from {address}", daemon=True).start()

    def _show_out(self, stream: socket.socket) -> None:
        """End a stranger's connection; its thread, which closes it, notices."""
        self._log.trouble("stranger-refused", reason="silent for longest of too many strangers")
        hang_up(stream)

    def _receive(self, stream: socket.socket) -> None:
        with stream:
            try:
                try:
                    checksum = self._policy.checksum
                    number = answer(stream, self._job, checksum, self._secret, HANDSHAKE_S)
                    tune(stream, self._policy)
                finally:
                    with self._strangers_lock:
                        self._strangers.pop(stream, None)
                receiving = ReceivingStream(stream, number, self._landing, self._finished, self._log, self.rate)
                self.enter(receiving)
                try:
                    receiving.run()
                finally:
                    self.leave(receiving)
            except (StreamBroken, ProtocolViolation, OSError) as exc:
                self._log.trouble("stranger-refused", reason=exc)

    def enter(self, stream: ReceivingStream) -> None:
        """Take on an authenticated stream.  Raises StreamBroken for one too many."""
        with self._streams_lock:
            if len(self._streams) >= self._most_streams:
                raise StreamBroken(f"there are {len(self._streams)} streams already")
            self._streams.append(stream)
            self.entered += 1

    def leave(self, stream: ReceivingStream) -> None:
        """Forget a stream and its buffers; what it has carried counts on."""
        with self._streams_lock:
            self._streams.remove(stream)
            self._ended.append(stream.progress())
            self._moved_by_ended += stream.moved
            self.said_bye = self.said_bye or stream.said_bye

    def progress(self) -> tuple[int, tuple[StreamProgress, ...]]:
        """Return what all streams have carried, and each of those that run or have ended last."""
        with self._streams_lock:
            moved = self._moved_by_ended + sum(stream.moved for stream in self._streams)
            return moved, (*self._ended, *(stream.progress() for stream in self._streams))
