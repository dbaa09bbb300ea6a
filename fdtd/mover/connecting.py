"""The lanes of a mover that connects: streams to the other side's door, opened again when they break.

Decides which pair of addresses each lane has, for how long a broken one is opened again, and when a job has had enough
of that.  What a stream does, reading or writing, is its maker's.
"""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic

from fdtcp.errors import DataConnectFailed, ProtocolViolation
from fdtcp.model.order import Connect, Endpoint, Policy
from fdtd.mover.distance import spread_over
from fdtd.mover.greeting import Greeting, greet
from fdtd.mover.log import Log
from fdtd.mover.roster import Roster, S
from fdtd.mover.streams import Ending, StreamBroken, Wire, connect, family_of, keep_short, name_of, path_of, tune

if TYPE_CHECKING:
    from ssl import SSLContext

# So often a job opens streams again within that time, for each of its streams: a network that lets a few bytes through
# and breaks again would otherwise keep a job busy for ever, sending the same blocks.
_RECONNECTS: Final = 3
_RECONNECTS_WITHIN_S: Final = 60.0
_RECONNECT_PAUSE_S: Final = 0.3


@dataclass(eq=False, slots=True)
class Lane:
    """One stream and its successors between the same two addresses."""

    endpoint: Endpoint
    local: str  # empty: the kernel chooses
    number: int = 0  # of its stream
    is_over: bool = False
    is_given_up: bool = False


class Lanes(Generic[S]):
    """All lanes of a job."""

    def __init__(
        self,
        order: Connect,
        policy: Policy,
        greeting: Greeting,
        roster: Roster[S],
        log: Log,
        *,
        is_over: Callable[[], bool],
        wake: Callable[[], None],
    ) -> None:
        """`is_over` says whether opening a stream is in vain, `wake` is called when there is something to look at."""
        if not order.endpoints:
            raise ProtocolViolation("Connect without endpoints")
        self._order = order
        self._policy = policy
        self._greeting = greeting
        self._roster = roster
        self._log = log
        self._is_in_vain = is_over
        self._wake = wake
        self._context: SSLContext | None = None
        if order.fingerprint:
            from fdtd.mover.sealing import connector_context

            self._context = connector_context()
        self._lanes: list[Lane] = []
        # A stream's number is never used again: what is still on its way must not be taken for another's.
        self._numbers = itertools.count(1)
        self._breaks: deque[float] = deque()
        self._breaks_lock = threading.Lock()

    def open(self, wanted: int, wants: Callable[[int], bool]) -> None:
        """Have up to `wanted` lanes: the first at once, others if `wants` one more beside those that there are."""
        while len(self._lanes) < wanted and (not self._lanes or wants(len(self._lanes))):
            lane = Lane(*_pair(self._order, len(self._lanes)))
            self._lanes.append(lane)
            self._start(lane)

    def replace(self, number: int) -> None:
        """Give up the lane whose stream has that number: its thread hangs.  Another takes its place."""
        for at, lane in enumerate(self._lanes):
            if lane.number == number:
                lane.is_given_up = True
                self._lanes[at] = Lane(lane.endpoint, lane.local)
                self._start(self._lanes[at])

    @property
    def is_over(self) -> bool:
        """Whether no lane will have a stream any more."""
        return all(lane.is_over for lane in self._lanes)

    def __len__(self) -> int:
        return len(self._lanes)

    def _start(self, lane: Lane) -> None:
        threading.Thread(target=self._run, args=(lane,), name="lane", daemon=True).start()

    # --- in the lanes' threads ----------------------------------------------------------------------------------

    def _run(self, lane: Lane) -> None:
        try:
            self._keep_open(lane)
        finally:
            lane.is_over = True
            self._wake()

    def _keep_open(self, lane: Lane) -> None:
        attempts = 0
        patience = self._policy.connect_timeout
        give_up = time.monotonic() + patience
        while time.monotonic() < give_up and not self._is_in_vain():
            attempts += 1
            try:
                ending = self._carry(lane)
            except (OSError, StreamBroken, ProtocolViolation) as exc:
                # In the log only: a user must not learn to scan ports with us.
                remote = name_of((lane.endpoint.address, lane.endpoint.port))
                self._log.trouble("connect-failed", remote=remote, reason=getattr(exc, "reason", None) or str(exc))
                ending = None
            if ending is not None:
                if ending is Ending.DONE or lane.is_given_up:
                    return
                give_up = time.monotonic() + patience
                attempts = 0
                if ending is Ending.SPENT:
                    continue
                if not self._may_reconnect(time.monotonic()):
                    return
                attempts = 1
            time.sleep(min(_RECONNECT_PAUSE_S * attempts, 2.0))

    def _carry(self, lane: Lane) -> Ending:
        """Connect, authenticate and work until the stream ends; returns how it did.  Raises OSError and others."""
        end = time.monotonic() + self._policy.connect_timeout
        number = lane.number = next(self._numbers)
        with connect(lane.endpoint, lane.local, self._policy, self._policy.connect_timeout) as raw:
            # The kernel knows it from connecting: other streams need not wait until this one has been let in.
            path = path_of(raw)
            self._roster.note_path(path)
            self._wake()
            stream = self._authenticate(raw, number, end)
            tune(raw, self._policy)
            if spread_over(path.round_trip_s, 1).is_far:
                keep_short(raw)
            return self._roster.carry(stream, number, raw)

    def _authenticate(self, raw: socket.socket, number: int, end: float) -> Wire:
        """Return the stream to a listener that has proven itself.  Raises StreamBroken, ProtocolViolation."""
        if self._context is None:
            greet(raw, number, self._greeting, end)
            return raw
        from fdtd.mover.sealing import SealedStream

        sealed = SealedStream(raw, self._context, is_listener=False)
        sealed.shake_hands(end)
        sealed.check(self._greeting.fingerprint)
        greet(sealed, number, self._greeting, end)
        return sealed

    def _may_reconnect(self, now: float) -> bool:
        """Take one of the job's reconnects; False if it has had too many lately."""
        with self._breaks_lock:
            while self._breaks and now - self._breaks[0] >= _RECONNECTS_WITHIN_S:
                self._breaks.popleft()
            if len(self._breaks) >= _RECONNECTS * len(self._lanes):
                return False
            self._breaks.append(now)
            return True


def _pair(order: Connect, number: int) -> tuple[Endpoint, str]:
    """Return endpoint and local address of the lane `number`: pairs of the same family, taken in turn."""
    endpoint = order.endpoints[number % len(order.endpoints)]
    family = family_of(endpoint.address)
    locals_ = [address for address in order.addresses if family_of(address) is family]
    if order.addresses and not locals_:
        raise DataConnectFailed("source and destination have no data address of the same family")
    return endpoint, locals_[number % len(locals_)] if locals_ else ""
