"""The lanes of a mover that connects: streams to the other side's door, opened again when they break.

Decides which pair of addresses a lane tries, and with how large packets; for how long it waits in between, and when a
job has had enough, is decided by `retrying`.  What a stream does, reading or writing, is its maker's.

A lane has a pair of addresses of its own, to which it comes back.  Only while no stream is open at all does it try the
other pairs, too: one dead interface of several must not be the end of a job, nor stay without its streams once it is
alive again.
"""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Generic

from fdtcp.errors import DataConnectFailed, ProtocolViolation
from fdtcp.model.order import Connect, Endpoint, Policy
from fdtd.mover.distance import spread_over
from fdtd.mover.greeting import Greeting, greet
from fdtd.mover.log import Log
from fdtd.mover.retrying import Wear, pause_after
from fdtd.mover.roster import Roster, S
from fdtd.mover.streams import Ending, StreamBroken, Wire, connect, family_of, keep_short, name_of, path_of, tune

if TYPE_CHECKING:
    from ssl import SSLContext

# What the first round over several pairs of addresses gives each, and each further one twice as much: a handshake is
# four round trips, and a lost packet costs a second.
_FIRST_TRY_S: Final = 2.0

# How often a lane that waits looks whether there is a reason not to.
_LOOK_S: Final = 0.25

Pair = tuple[Endpoint, str]  # where to, and from which address; empty: the kernel chooses


class Doing(Enum):
    """What a lane is at."""

    CONNECTING = "connecting"
    GREETING = "greeting"  # connected, not yet let in
    CARRYING = "carrying"
    RESTING = "resting"  # until the next attempt
    WORN = "worn"  # too many streams of the job broke lately
    OVER = "over"


@dataclass(eq=False, slots=True)
class Lane:
    """One stream and its successors."""

    home: Pair
    number: int = 0  # of its stream
    doing: Doing = Doing.CONNECTING
    is_given_up: bool = False
    failures: int = 0  # in a row: attempts in vain, and streams that brought nothing through
    barren: list[Pair] = field(default_factory=list)  # of these the streams: where they went
    is_small: bool = False  # whether the last attempt had small packets


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
        self._pairs = pairs_of(order)
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
        self._wear = Wear()
        self._wear_lock = threading.Lock()

    def open(self, wanted: int, wants: Callable[[int], bool]) -> None:
        """Have up to `wanted` lanes: the first at once, others if `wants` one more beside those that there are."""
        while len(self._lanes) < wanted and (not self._lanes or wants(len(self._lanes))):
            lane = Lane(home_of(self._order, len(self._lanes)))
            self._lanes.append(lane)
            self._start(lane)

    def replace(self, number: int) -> None:
        """Give up the lane whose stream has that number: its thread hangs.  Another takes its place."""
        for at, lane in enumerate(self._lanes):
            if lane.number == number:
                lane.is_given_up = True
                self._lanes[at] = Lane(lane.home)
                self._start(self._lanes[at])

    @property
    def is_worn(self) -> bool:
        """Whether no lane will have a stream in the near future: too many broke."""
        return all(lane.doing in (Doing.WORN, Doing.OVER) for lane in self._lanes)

    @property
    def is_hopeless(self) -> bool:
        """Whether streams open well, again and again, and nothing comes through."""
        with self._wear_lock:
            return self._wear.is_hopeless(len(self._lanes))

    @property
    def is_barren(self) -> bool:
        """Whether nothing has come through on the last streams, as many as there are lanes."""
        with self._wear_lock:
            return self._wear.is_barren(len(self._lanes))

    @property
    def is_greeting(self) -> bool:
        """Whether a stream may be let in at any moment."""
        return any(lane.doing is Doing.GREETING for lane in self._lanes)

    def __len__(self) -> int:
        return len(self._lanes)

    def _start(self, lane: Lane) -> None:
        threading.Thread(target=self._run, args=(lane,), name="lane", daemon=True).start()

    # --- in the lanes' threads ----------------------------------------------------------------------------------

    def _run(self, lane: Lane) -> None:
        try:
            while not self._is_in_vain():
                ending = self._try(lane)
                if ending is Ending.DONE or lane.is_given_up:
                    return
                self._note(lane, ending)
                if ending is not Ending.SPENT:
                    self._rest(lane)
        finally:
            lane.doing = Doing.OVER
            self._wake()

    def _try(self, lane: Lane) -> Ending | None:
        """Open a stream and let it carry what it can; returns how it ended, None if it could not be opened."""
        pair, patience = self._next_pair(lane)
        endpoint, local = pair
        lane.doing = Doing.CONNECTING
        try:
            ending = self._carry(lane, pair, patience)
        except (OSError, StreamBroken, ProtocolViolation) as exc:
            # In the log only: a user must not learn to scan ports with us.
            remote = name_of((endpoint.address, endpoint.port))
            reason = getattr(exc, "reason", None) or str(exc)
            self._log.trouble("connect-failed", remote=remote, local=local or "any", reason=reason)
            return None
        if ending is Ending.BARREN:
            lane.barren.append(pair)
        else:
            lane.barren.clear()
            lane.is_small = False
        return ending

    def _next_pair(self, lane: Lane) -> tuple[Pair, float]:
        """Return what to try, and for how long."""
        patience = self._policy.connect_timeout
        if self._roster.streams or len(self._pairs) == 1:
            return lane.home, patience
        tries = self._pairs.index(lane.home) + lane.failures
        rounds = min(lane.failures // len(self._pairs), 10)
        return self._pairs[tries % len(self._pairs)], min(patience, _FIRST_TRY_S * 2.0**rounds)

    def _note(self, lane: Lane, ending: Ending | None) -> None:
        """Remember how an attempt ended; waits while the job has had too many broken streams."""
        is_barren = ending is Ending.BARREN
        lane.failures = lane.failures + 1 if ending is None or is_barren else 0
        if ending is None:
            return
        with self._wear_lock:
            others_carry = any(stream.has_carried for stream in self._roster.streams)
            self._wear.ended(is_barren=is_barren and not others_carry)
        while ending is not Ending.SPENT and not self._is_in_vain():
            with self._wear_lock:
                seconds = self._wear.broke(time.monotonic(), len(self._lanes))
            if not seconds:
                return
            lane.doing = Doing.WORN
            self._wake()
            time.sleep(min(seconds, _LOOK_S))

    def _rest(self, lane: Lane) -> None:
        """Wait before the next attempt, not as long where no stream carries the job any more."""
        lane.doing = Doing.RESTING
        began = time.monotonic()
        while not self._is_in_vain():
            patience = None if self._roster.streams else self._policy.connect_timeout
            pause = pause_after(max(1, lane.failures), patience)
            if (left := began + pause - time.monotonic()) <= 0:
                return
            time.sleep(min(left, _LOOK_S))

    def _carry(self, lane: Lane, pair: Pair, patience: float) -> Ending:
        """Connect, authenticate and work until the stream ends; returns how it did.  Raises OSError and others."""
        end = time.monotonic() + patience
        number = lane.number = next(self._numbers)
        # Where streams opened and nothing came through, full packets may be too large for the way (MTU), or for all.
        lane.is_small = not lane.is_small and (pair in lane.barren or len(lane.barren) > 1)
        with connect(*pair, self._policy, patience, is_small=lane.is_small) as raw:
            lane.doing = Doing.GREETING
            # The kernel knows it from connecting: other streams need not wait until this one has been let in.
            path = path_of(raw)
            self._roster.note_path(path)
            self._wake()
            stream = self._authenticate(raw, number, end)
            if lane.is_small:
                self._log.event("small-packets", stream=number)
            tune(raw, self._policy)
            if spread_over(path.round_trip_s, 1).is_far:
                keep_short(raw)
            lane.doing = Doing.CARRYING
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


def home_of(order: Connect, number: int) -> Pair:
    """Return endpoint and local address of the lane `number`: pairs of the same family, taken in turn.

    Raises DataConnectFailed if there is none.
    """
    usable = [endpoint for endpoint in order.endpoints if _locals_for(order, endpoint)]
    if not usable:
        raise DataConnectFailed("source and destination have no data address of the same family")
    endpoint = usable[number % len(usable)]
    locals_ = _locals_for(order, endpoint)
    return endpoint, locals_[number % len(locals_)]


def pairs_of(order: Connect) -> tuple[Pair, ...]:
    """Return all pairs that can be tried, those that have lanes of their own first.  Raises DataConnectFailed."""
    homes = (home_of(order, number) for number in range(len(order.endpoints) * max(1, len(order.addresses))))
    others = ((endpoint, local) for endpoint in order.endpoints for local in _locals_for(order, endpoint))
    return tuple(dict.fromkeys((*homes, *others)))


def _locals_for(order: Connect, endpoint: Endpoint) -> list[str]:
    """Return our addresses that can reach an endpoint; an empty one if nobody said which."""
    if not order.addresses:
        return [""]
    family = family_of(endpoint.address)
    return [address for address in order.addresses if family_of(address) is family]
