"""The writer: the destination's program for one job.

Decides what the daemon hears and when the job is over: verdicts, outcomes in batches, progress, what is kept.  All
work on bytes happens in other threads, and so does pre-flight; this one must never wait for a disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Final

from fdtcp.errors import Abandoned, DestinationHangs, FdtError, Phase, Problem, ProtocolViolation, Side, StreamsLost
from fdtcp.model.columns import Columns
from fdtcp.model.order import (
    Action,
    Connect,
    DestinationFile,
    Ended,
    Expect,
    Expected,
    Finals,
    Kept,
    Listen,
    Order,
    Progress,
    Setup,
    SourceGone,
    Verdict,
    Verify,
)
from fdtd.mover.control import LIFE_AFTER_EOF_S, Control
from fdtd.mover.crossing import Crossing
from fdtd.mover.epochs import Epoch
from fdtd.mover.expecting import Decided, Expecting
from fdtd.mover.frames import SMALL_FILE_BYTES
from fdtd.mover.landing import Landing
from fdtd.mover.log import Log
from fdtd.mover.preflight import Preflight
from fdtd.mover.rate import WRITERS_BURST_S, RateLimit
from fdtd.mover.receiving import ReceivingStream
from fdtd.mover.rereading import Rereader
from fdtd.mover.safekeeping import Committer, Keeper
from fdtd.mover.sheaves import Sheaves
from fdtd.mover.streams import Wire
from fdtd.storage.choose import ChosenDestinations
from fdtd.storage.paths import Prefixes

# How often outcomes are told: five times a second looks immediate to a person, and bounds the messages.
_FINALS_S: Final = 0.2
_PROGRESS_S: Final = 0.5

# The reader has said that all is sent; what it never sent will not come.
_AFTER_BYE_S: Final = 1.0

# The source is gone; what its kernel or the network still had is here by now.
_AFTER_SOURCE_S: Final = 2.0

# A message carries at most so many outcomes; a line stays far below its limit.
_OUTCOMES_A_MESSAGE: Final = 1000

_SEND: Final = bytes([list(Action).index(Action.SEND)])  # as columns have it

# A disk that is slow, or has much to write for others, takes minutes for a sync; so many stall times are no such thing.
_COMMIT_STALLS: Final = 20

# What stopping may take before the watchdog ends the process.
_STOP_S: Final = LIFE_AFTER_EOF_S - 0.4


def main(setup: Setup, control: Control, log: Log, umask: int) -> None:
    """Receive the files of one job.  Raises FdtError for what ends the job as a whole."""
    with Prefixes(setup.prefixes) as prefixes:
        destinations = ChosenDestinations(prefixes, 0o777 & ~umask, setup.storage)
        writer = Writer(setup, control, destinations, log)
        problem = writer.run()
        control.say(Ended(problem))


class Writer:
    """One job at its destination."""

    def __init__(self, setup: Setup, control: Control, destinations: ChosenDestinations, log: Log) -> None:
        self._policy = setup.policy
        self._control = control
        self._log = log
        self._landing = Landing(setup.policy, destinations, log)
        self._sheaves = Sheaves(self._landing)
        preflight = Preflight(setup.policy, destinations, self._landing.hangs)
        self._expecting = Expecting(preflight, setup.policy.stall_timeout, self._expected, control.wake)
        self._committer = Committer(setup.policy.sync, self._landing, log)
        self._rereader: Rereader | None = None
        if setup.policy.verify is Verify.DISK:
            self._rereader = Rereader(self._landing, self._committer.add, log)
            self._landing.on_verified = self._rereader.add
        self._keeper = Keeper(self._landing)
        self._rate = RateLimit(setup.policy.rate_limit, WRITERS_BURST_S)
        control.on_rate = self._follow_rate
        self._crossing = Crossing(setup, control, self._make_stream, self._is_in_vain, log)
        self._landing.on_streams = self._crossing.want
        # Readable once nothing more is wanted; it wakes all streams, so nobody reads it.
        self._finished, self._finish = os.pipe2(os.O_CLOEXEC)
        self._last = False  # whether all files are known
        self._expected_bytes = 0
        self._is_source_gone = False
        self._heard = (-1, 0.0)  # bytes that had come from a source that is gone, and when there were more
        self._told_at = 0.0
        self._told_finals_at = 0.0
        self._committer.is_last = lambda: self._last and not self._landing.has_open
        self._landing.on_all_final = control.wake
        self._landing.on_hang = self._note_hang

    def run(self) -> Problem | None:
        """Work until the job is over; returns why it ended early, if it did."""
        self._committer.start()
        if self._rereader is not None:
            self._rereader.start()
        self._keeper.start()
        problem = None
        while not self._control.is_stopping:
            order = self._next_order()
            if isinstance(order, Expect):
                self._expecting.begin(order, time.monotonic())
            elif isinstance(order, Connect | Listen):
                self._crossing.obey(order)
            elif isinstance(order, SourceGone):
                self._is_source_gone = True
            elif order is not None:
                raise ProtocolViolation(f"a writer cannot {type(order).__name__}")
            self._rate.tick(time.monotonic())
            self._look_for_hangs(time.monotonic())
            self._expecting.tick(time.monotonic())
            self._tell(time.monotonic())
            if self._last and self._landing.open_files == 0:
                break
            problem = self._watch_streams(time.monotonic()) or problem
            if self._landing.has_open:
                self._crossing.open_more(self._crossing.spread, self._wants_streams)
        hang = self._landing.hangs.first
        if problem is None and hang is not None:
            problem = hang.problem(Side.DESTINATION, Phase.TRANSFER)
        return self._end(problem)

    # --- orders -------------------------------------------------------------------------------------------------

    def _next_order(self) -> Order | None:
        """Return the next order, if there is one.  Raises DestinationHangs, after what is done was told, and others."""
        try:
            return self._control.next_order(_FINALS_S / 2)
        except DestinationHangs:
            # What hangs cannot be waited for, nor cleaned up: what is not safe is the daemon's sweeper's business.
            self._tell(time.monotonic(), all_of_it=True)
            raise

    def _follow_rate(self, rate: int) -> None:
        self._log.event("rate", limit=rate)
        self._rate.follow(rate)

    def _note_hang(self, error: DestinationHangs) -> None:
        """Fail what waits to be made safe where nothing answers any more; all else goes on."""
        self._log.trouble("destination-hangs", reason=error.reason)
        if self._rereader is not None:
            # It may hang in the midst of anybody's files: then the job is over.
            self._control.fail(error)
        self._committer.give_up()
        self._control.wake()

    def _look_for_hangs(self, now: float) -> None:
        patience = _COMMIT_STALLS * self._policy.stall_timeout
        for path in self._committer.hangs_at(now, patience):
            self._landing.give_up(path, patience)
        roster = self._crossing.roster
        for stream in roster.streams:
            if stream.number in self._landing.rivals.hung:
                self._crossing.replace(stream)

    def _expected(
        self,
        order: Expect,
        files: Columns[DestinationFile],
        places: Sequence[int],
        decided: Iterable[Decided],
    ) -> None:
        """Take what pre-flight says of an order."""
        plain = files.pick(places)
        if len(lean := _lean(plain)) < len(plain):
            raise ProtocolViolation("a file is expected twice")
        self._sheaves.expect(lean)
        verdicts = []
        for file, decision in decided:
            self._landing.expect(file, decision)
            verdicts.append(decision.verdict)
        self._expected_bytes += sum(files.numbers("size"))
        self._last = self._last or order.last
        sent = Columns.build(Verdict, len(plain), index=plain.raw("index"), action=_SEND * len(plain))
        self._control.say(Expected(order.seq, Columns.join(Verdict, (sent, Columns.of(Verdict, verdicts)))))
        self._committer.nudge()

    # --- what the daemon hears ----------------------------------------------------------------------------------

    def _tell(self, now: float, *, all_of_it: bool = False) -> None:
        is_over = all_of_it or (self._last and self._landing.open_files == 0)
        if is_over or now - self._told_finals_at >= _FINALS_S:
            self._told_finals_at = now
            for outcomes in (self._sheaves.take_outcomes(), self._landing.take_outcomes()):
                for start in range(0, len(outcomes), _OUTCOMES_A_MESSAGE):
                    self._control.say(Finals(outcomes[start : start + _OUTCOMES_A_MESSAGE]))
        if is_over or now - self._told_at >= _PROGRESS_S:
            self._told_at = now
            moved, streams = self._crossing.roster.progress()
            self._control.say(Progress(moved, self._landing.finished_files, streams))

    # --- streams ------------------------------------------------------------------------------------------------

    def _make_stream(self, stream: Wire, number: int) -> ReceivingStream:
        return ReceivingStream(stream, number, self._landing, self._finished, self._log, self._rate)

    def _is_in_vain(self) -> bool:
        """Whether opening a stream again makes no sense."""
        is_all_here = self._last and not self._landing.has_open
        return self._control.is_stopping or self._is_source_gone or is_all_here

    def _wants_streams(self, streams: int) -> bool:
        """Whether another stream beside `streams` is worth opening: the reader deals, we only see what is to come."""
        moved, _ = self._crossing.roster.progress()
        return self._expected_bytes - moved > 2 * streams * self._policy.block_size

    def _watch_streams(self, now: float) -> Problem | None:
        """Fail what waits for bytes when no stream is left to bring them."""
        if self._is_source_gone and self._crossing.roster.streams:
            self._end_silent_streams(now)
        alone = self._crossing.alone_for(now, is_wanted=self._landing.has_open)
        error: FdtError | None
        if self._is_source_gone:
            error = StreamsLost("the source has ended without sending all of this file") if alone > 0 else None
        elif self._landing.is_all_sent:
            is_over = self._last and alone >= _AFTER_BYE_S
            error = Abandoned("the source ended without sending this file") if is_over else None
        else:
            error = self._crossing.why_lost(alone)
        if error is None:
            return None
        problem = error.problem(Side.DESTINATION, Phase.TRANSFER)
        self._keeper.flush(now + self._policy.stall_timeout)
        self._landing.fail_open(problem)
        self._last = True
        return problem

    def _end_silent_streams(self, now: float) -> None:
        """End the streams of a source that is gone, once nothing comes any more: its host may have had no time to."""
        moved, _ = self._crossing.roster.progress()
        if moved != self._heard[0]:
            self._heard = moved, now
        elif now - self._heard[1] >= _AFTER_SOURCE_S:
            for stream in self._landing.streams:
                stream.end()

    # --- the end ------------------------------------------------------------------------------------------------

    def _end(self, problem: Problem | None) -> Problem | None:
        self._landing.discard = self._control.discard
        deadline = time.monotonic() + _STOP_S
        self._crossing.close()
        os.close(self._finish)
        if self._control.is_stopping:
            problem = Abandoned("the transfer was stopped").problem(Side.DESTINATION, Phase.TRANSFER)
            self._stop(deadline, problem)
        else:
            self._wait_streams(deadline - _STOP_S / 2)
            for stream in self._landing.streams:
                stream.end()  # in the middle of something that nobody wants any more
        self._wait_streams(deadline)
        self._landing.wait_let_go(deadline)
        self._tell(time.monotonic(), all_of_it=True)
        if self._landing.kept:
            self._control.say(Kept(tuple(self._landing.kept)))
        return problem

    def _stop(self, deadline: float, problem: Problem) -> None:
        """End everything; what is worth it stays, all else is removed."""
        for stream in self._landing.streams:
            stream.end()
        if self._rereader is not None:
            self._landing.abandon(self._rereader.stop((deadline - time.monotonic()) / 4), problem)
        never_begun = self._committer.stop((deadline - time.monotonic()) / 2)
        self._abandon(never_begun, problem)
        self._wait_streams(deadline - _STOP_S / 2)
        # What the streams have completed in the meantime.
        self._abandon(self._committer.stop(0.0), problem)
        # Those that were never worth a journal go first: they take no time.
        self._landing.fail_open(problem, SMALL_FILE_BYTES)
        self._keeper.stop(deadline - time.monotonic())
        if not self._control.discard:
            self._keeper.flush(deadline)
        self._landing.fail_open(problem)

    def _abandon(self, epoch: Epoch, problem: Problem) -> None:
        self._landing.abandon(epoch.items + epoch.alone, problem)
        self._sheaves.abandon(epoch.sheaves, problem)

    def _wait_streams(self, deadline: float) -> None:
        with self._landing.lock:
            while self._landing.has_streams and time.monotonic() < deadline:
                self._landing.lock.wait(max(0.0, deadline - time.monotonic()))


def _lean(files: Columns[DestinationFile]) -> dict[int, DestinationFile]:
    """Return what is kept of small files, by index: 200,000 of them would take 25 MB more.

    They are never continued, so nothing asks for their sources; and their modes are few.
    """
    modes: dict[int, int] = {}
    indexes = list(files.numbers("index"))
    rows = map(
        DestinationFile,
        indexes,
        files.names("path"),
        files.numbers("size"),
        files.numbers("mtime_ns"),
        [modes.setdefault(mode, mode) for mode in files.numbers("mode")],
        repeat(b""),
    )
    return dict(zip(indexes, rows, strict=True))
