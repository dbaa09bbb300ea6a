"""The reader: the source's program for one job.

Decides how many streams there are and when a broken one is opened again, and what the daemon hears.  All work on bytes
happens in the streams' threads.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections import deque
from typing import Final

from fdtcp.errors import (
    Abandoned,
    DataConnectFailed,
    FdtError,
    Phase,
    Problem,
    ProtocolViolation,
    Side,
    SourceHangs,
    StreamsLost,
)
from fdtcp.model.order import Connect, Describe, Ended, Endpoint, Policy, Progress, Release, Setup
from fdtd.mover.control import Control
from fdtd.mover.distance import Growth, Path, Spread, spread_over
from fdtd.mover.greeting import greet
from fdtd.mover.log import Log
from fdtd.mover.looking import Looks
from fdtd.mover.outbox import Outbox
from fdtd.mover.rate import RateLimit
from fdtd.mover.sending import SendingStream
from fdtd.mover.streams import StreamBroken, connect, family_of, keep_short, name_of, path_of, tune
from fdtd.storage.choose import ChosenSources
from fdtd.storage.paths import Prefixes

_TICK_S: Final = 0.05
_PROGRESS_S: Final = 0.5
_ENDED_TOLD: Final = 64

# So many threads may hang at a time in the source's file system, for each stream: each keeps its buffers.
_HUNG: Final = 4

# So often a job opens streams again within that time, for each of its streams: a network that lets a few bytes through
# and breaks again would otherwise keep a job busy for ever, sending the same blocks.
_RECONNECTS: Final = 3
_RECONNECTS_WITHIN_S: Final = 60.0
_RECONNECT_PAUSE_S: Final = 0.3


def main(setup: Setup, control: Control, log: Log) -> None:
    """Send the files of one job.  Raises FdtError for what ends the job as a whole."""
    with Prefixes(setup.prefixes, setup.scopes) as prefixes:
        sources = ChosenSources(prefixes, setup.policy.zero_size, setup.storage)
        reader = Reader(setup, control, Outbox(setup.policy, sources, log), log)
        control.say(Ended(reader.run()))


class Reader:
    """One job at its source."""

    def __init__(self, setup: Setup, control: Control, outbox: Outbox, log: Log) -> None:
        self._job = bytes.fromhex(setup.job)
        self._policy = setup.policy
        self._control = control
        self._outbox = outbox
        self._log = log
        self._rate = RateLimit(setup.policy.rate_limit)
        control.on_rate = self._rate.set
        self._lanes: list[Lane] = []
        self._hung: list[Lane] = []  # their threads were given up
        self._looks = Looks(outbox.describe, setup.policy.stall_timeout, control)
        self._numbers = itertools.count(1)
        self._connect: Connect | None = None
        self._told_at = 0.0
        self._spread: Spread | None = None  # the first stream tells how far it is
        self._growth = Growth(setup.policy.most_streams)
        self._breaks: deque[float] = deque()
        self._breaks_lock = threading.Lock()

    def run(self) -> Problem | None:
        """Work until the job is over; returns why it ended early, if it did."""
        problem = None
        while not self._control.is_stopping:
            order = self._control.next_order(_TICK_S if self._connect else 1.0)
            if order is not None:
                self._obey(order)
            if self._outbox.is_finished and all(lane.is_over for lane in self._lanes):
                break
            if self._lanes and all(lane.is_over for lane in self._lanes) and not self._outbox.is_finished:
                problem = self._lost()
                break
            if (problem := self._replace_hung()) is not None:
                break
            self._looks.tick(time.monotonic())
            self._open_lanes()
            self._tell(time.monotonic())
        if self._control.is_stopping:
            problem = Abandoned("the transfer was stopped").problem(Side.SOURCE, Phase.TRANSFER)
        if problem is not None:
            for lane in self._lanes:
                lane.end()
        self._tell(time.monotonic(), all_of_it=True)
        return problem

    def _obey(self, order: object) -> None:
        if isinstance(order, Describe):
            self._looks.begin(order, time.monotonic())
        elif isinstance(order, Release):
            self._outbox.release(order.files, last=order.last)
        elif isinstance(order, Connect) and self._connect is None:
            if not order.endpoints:
                raise ProtocolViolation("Connect without endpoints")
            self._connect = order
        else:
            raise ProtocolViolation(f"a reader cannot {type(order).__name__} now")

    # --- streams ------------------------------------------------------------------------------------------------

    def _open_lanes(self) -> None:
        """Open the first stream at once, and others while they would have something to do."""
        if self._connect is None or self._outbox.is_finished:
            return
        self._look_how_far()
        while len(self._lanes) < self._wanted_streams():
            if self._lanes and not self._outbox.wants_streams(len(self._lanes)):
                return
            endpoint, local = _pair(self._connect, len(self._lanes))
            lane = Lane(self._job, endpoint, local, self._connect.secret, self)
            self._lanes.append(lane)
            lane.start()

    def _wanted_streams(self) -> int:
        if self._policy.streams or self._spread is None:
            return self._policy.streams or 1
        # Several data interfaces are there to be used.
        wanted = max(self._spread.streams, len(self._connect.endpoints) if self._connect else 1)
        return min(wanted, self._policy.most_streams)

    def _look_how_far(self) -> None:
        if not self._lanes or (round_trip := self._lanes[0].round_trip_s) is None:
            return
        spread = self._spread or spread_over(round_trip, os.cpu_count() or 1)
        if not self._policy.streams:
            spread = self._grow(spread, time.monotonic())
        if spread is not self._spread:
            self._spread = spread
            self._outbox.spread(spread)

    def _grow(self, spread: Spread, now: float) -> Spread:
        """Return how the job spreads now that its streams have carried something."""
        opened = [stream for lane in self._lanes for stream in lane.streams]
        if not spread.is_far or len(opened) < spread.streams:
            return spread
        paths = [path for lane in self._lanes if (path := lane.path) is not None]
        moved = sum(stream.moved for stream in opened)
        wanted = self._growth.wanted(now, spread.streams, moved, paths)
        if wanted == spread.streams:
            return spread
        self._log.event("more-streams", streams=wanted)
        return Spread(wanted, wanted, wanted)

    def _replace_hung(self) -> Problem | None:
        """Give up streams whose source hangs, and put others in their place; return why to end, if that is too often.

        Nothing can take such a stream's thread back.  Whose file it was is told by the stream; the others go on.
        """
        for at, lane in enumerate(self._lanes):
            if lane.give_up_if_hung(self._policy.stall_timeout):
                self._hung.append(lane)
                self._lanes[at] = Lane(self._job, lane.endpoint, lane.local, lane.secret, self)
                self._lanes[at].start()
        hung = sum(not lane.is_over for lane in self._hung)
        if not hung or hung < _HUNG * len(self._lanes):
            return None
        error = SourceHangs(f"{hung} reads of the source's file system hang at the same time")
        return error.problem(Side.SOURCE, Phase.TRANSFER)

    def _lost(self) -> Problem:
        error: FdtError
        if any(lane.was_open for lane in self._lanes):
            error = StreamsLost("all data streams broke and could not be opened again")
        else:
            error = DataConnectFailed("no data stream could be opened to the destination")
        return error.problem(Side.SOURCE, Phase.TRANSFER)

    def _tell(self, now: float, *, all_of_it: bool = False) -> None:
        if all_of_it or now - self._told_at >= _PROGRESS_S:
            self._told_at = now
            streams = [stream for lane in (*self._hung, *self._lanes) for stream in lane.streams]
            moved = sum(stream.moved for stream in streams)
            # Of a day on a bad network there are thousands that broke.
            ended = sorted((one for one in streams if not one.alive), key=lambda one: one.number)[-_ENDED_TOLD:]
            told = tuple(stream.progress() for stream in (*ended, *(one for one in streams if one.alive)))
            self._control.say(Progress(moved, self._outbox.finished_files, told))

    # --- what lanes need ----------------------------------------------------------------------------------------

    @property
    def policy(self) -> Policy:
        """How to move bytes."""
        return self._policy

    @property
    def is_over(self) -> bool:
        """Whether opening a stream again makes sense."""
        return self._outbox.is_finished or self._control.is_stopping

    def may_reconnect(self, now: float) -> bool:
        """Take one of the job's reconnects; False if it has had too many lately."""
        with self._breaks_lock:
            while self._breaks and now - self._breaks[0] >= _RECONNECTS_WITHIN_S:
                self._breaks.popleft()
            if len(self._breaks) >= _RECONNECTS * len(self._lanes):
                return False
            self._breaks.append(now)
            return True

    def next_number(self) -> int:
        """Return the number of a new stream."""
        return next(self._numbers)

    def make_stream(self, lane: Lane) -> SendingStream:
        """Connect and authenticate.  Raises OSError, StreamBroken, ProtocolViolation."""
        number = self.next_number()
        policy = self._policy
        stream = connect(lane.endpoint, lane.local, policy, policy.connect_timeout)
        try:
            # The kernel knows it from connecting: other streams need not wait until this one has been let in.
            lane.socket = stream
            lane.round_trip_s = path_of(stream).round_trip_s
            self._control.wake()
            greet(stream, number, lane.job, policy.checksum, lane.secret, policy.connect_timeout)
            tune(stream, policy)
            if spread_over(lane.round_trip_s, 1).is_far:
                keep_short(stream)
            return SendingStream(stream, number, self._outbox, self._rate, self._log)
        except BaseException:
            stream.close()
            raise

    def lane_over(self) -> None:
        """Look at the lanes again."""
        self._control.wake()

    def trouble(self, lane: Lane, error: Exception) -> None:
        """Say why a stream could not be opened; in the log only, a user must not learn to scan ports with us."""
        reason = getattr(error, "reason", None) or str(error)
        self._log.trouble("connect-failed", remote=name_of((lane.endpoint.address, lane.endpoint.port)), reason=reason)


class Lane:
    """One stream and its successors between the same two addresses."""

    def __init__(self, job: bytes, endpoint: Endpoint, local: str, secret: bytes, reader: Reader) -> None:
        self.job = job
        self.endpoint = endpoint
        self.local = local
        self.secret = secret
        self.streams: list[SendingStream] = []
        self.socket: socket.socket | None = None  # the stream's; only to be looked at
        self.round_trip_s: float | None = None
        self.is_over = False
        self._is_given_up = False
        self._reader = reader
        self._thread = threading.Thread(target=self._run, name="lane", daemon=True)

    @property
    def path(self) -> Path | None:
        """What the kernel knows of the stream's path; None while there is no stream."""
        try:
            return path_of(self.socket) if self.socket is not None else None
        except OSError:
            return None  # it has been closed by now

    @property
    def was_open(self) -> bool:
        """Whether a stream was ever opened here."""
        return bool(self.streams)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """End the stream."""
        for stream in self.streams:
            if stream.alive:
                stream.end()

    def give_up_if_hung(self, patience_s: float) -> bool:
        """Give up the stream, and its thread, if its source has hung for so long; to be asked often."""
        if any(stream.alive and stream.give_up_if_hung(patience_s) for stream in self.streams):
            self._is_given_up = True
        return self._is_given_up

    def _run(self) -> None:
        try:
            self._keep_open()
        finally:
            self.is_over = True
            self._reader.lane_over()

    def _keep_open(self) -> None:
        attempts = 0
        patience = self._reader.policy.connect_timeout
        give_up = time.monotonic() + patience
        while time.monotonic() < give_up and not self._reader.is_over:
            attempts += 1
            try:
                stream = self._reader.make_stream(self)
            except (OSError, StreamBroken, ProtocolViolation) as exc:
                self._reader.trouble(self, exc)
            else:
                self.streams.append(stream)
                if stream.run(self._reader.policy.stall_timeout) or self._is_given_up:
                    return
                if not self._reader.may_reconnect(time.monotonic()):
                    return
                attempts = 1
                give_up = time.monotonic() + patience
            time.sleep(min(_RECONNECT_PAUSE_S * attempts, 2.0))


def _pair(order: Connect, number: int) -> tuple[Endpoint, str]:
    """Return endpoint and local address of the stream `number`: pairs of the same family, taken in turn."""
    endpoint = order.endpoints[number % len(order.endpoints)]
    family = family_of(endpoint.address)
    locals_ = [address for address in order.addresses if family_of(address) is family]
    if order.addresses and not locals_:
        raise DataConnectFailed("source and destination have no data address of the same family")
    return endpoint, locals_[number % len(locals_)] if locals_ else ""
