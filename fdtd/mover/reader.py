"""The reader: the source's program for one job.

Decides how many streams there are, what the daemon hears, and when the job is over.  All work on bytes happens in the
streams' threads.
"""

from __future__ import annotations

import time
from typing import Final

from fdtcp.errors import Abandoned, Phase, Problem, ProtocolViolation, Side, SourceHangs
from fdtcp.model.order import Connect, Describe, Ended, Listen, Progress, Release, Setup
from fdtd.mover.control import Control
from fdtd.mover.crossing import Crossing
from fdtd.mover.distance import Growth, Spread
from fdtd.mover.log import Log
from fdtd.mover.looking import Looks
from fdtd.mover.outbox import Outbox
from fdtd.mover.rate import RateLimit
from fdtd.mover.sending import SendingStream
from fdtd.mover.streams import Wire
from fdtd.storage.choose import ChosenSources
from fdtd.storage.paths import Prefixes

_TICK_S: Final = 0.05
_PROGRESS_S: Final = 0.5

# So many threads may hang at a time in the source's file system, for each stream: each keeps its buffers.
_HUNG: Final = 4


def main(setup: Setup, control: Control, log: Log) -> None:
    """Send the files of one job.  Raises FdtError for what ends the job as a whole."""
    with Prefixes(setup.prefixes, setup.scopes) as prefixes:
        sources = ChosenSources(prefixes, setup.policy.zero_size, setup.storage)
        reader = Reader(setup, control, Outbox(setup.policy, sources, log), log)
        control.say(Ended(reader.run()))


class Reader:
    """One job at its source."""

    def __init__(self, setup: Setup, control: Control, outbox: Outbox, log: Log) -> None:
        self._policy = setup.policy
        self._control = control
        self._outbox = outbox
        self._log = log
        self._rate = RateLimit(setup.policy.rate_limit)
        control.on_rate = self._set_rate
        self._looks = Looks(outbox, setup.policy.stall_timeout, control)
        self._crossing = Crossing(setup, control, self._make_stream, self._is_in_vain, log)
        self._told_at = 0.0
        self._spread: Spread | None = None  # the first stream tells how far it is
        self._growth = Growth(setup.policy.most_streams)

    def run(self) -> Problem | None:
        """Work until the job is over; returns why it ended early, if it did."""
        problem = None
        while not self._control.is_stopping:
            order = self._control.next_order(_TICK_S if self._crossing.is_begun else 1.0)
            if order is not None:
                self._obey(order)
            # Nor for a lane that is opening a stream: nobody wants it any more.
            if self._outbox.is_finished and not self._crossing.roster.streams:
                break
            if (problem := self._lost(time.monotonic())) is not None:
                break
            if (problem := self._replace_hung()) is not None:
                break
            self._looks.tick(time.monotonic())
            self._open_streams()
            self._tell(time.monotonic())
        if self._control.is_stopping:
            problem = Abandoned("the transfer was stopped").problem(Side.SOURCE, Phase.TRANSFER)
        if problem is not None:
            self._crossing.roster.end_all()
        self._crossing.close()
        self._tell(time.monotonic(), all_of_it=True)
        return problem

    def _set_rate(self, rate: int) -> None:
        self._log.event("rate", limit=rate)
        self._rate.set(rate)

    def _obey(self, order: object) -> None:
        if isinstance(order, Describe):
            self._looks.begin(order, time.monotonic())
        elif isinstance(order, Release):
            self._outbox.release(order.files, last=order.last)
        elif isinstance(order, Connect | Listen):
            self._crossing.obey(order)
        else:
            raise ProtocolViolation(f"a reader cannot {type(order).__name__} now")

    # --- streams ------------------------------------------------------------------------------------------------

    def _is_in_vain(self) -> bool:
        """Whether opening a stream again makes no sense."""
        return self._outbox.is_finished or self._control.is_stopping

    def _make_stream(self, stream: Wire, number: int) -> SendingStream:
        return SendingStream(stream, number, self._outbox, self._rate, self._policy.stall_timeout, self._log)

    def _open_streams(self) -> None:
        """Open the first stream at once, and others while they would have something to do."""
        if not self._crossing.is_begun or self._outbox.is_finished:
            return
        self._look_how_far()
        self._crossing.open_more(self._spread, self._outbox.wants_streams)

    def _look_how_far(self) -> None:
        spread = self._spread or self._crossing.spread
        if spread is not None and not self._policy.streams:
            spread = self._grow(spread, time.monotonic())
        if spread is not None and spread is not self._spread:
            self._spread = spread
            self._outbox.spread(spread)
            if spread.is_far and not self._crossing.is_connecting and not self._policy.streams:
                self._outbox.ask_for_streams(min(spread.streams, self._policy.most_streams))

    def _grow(self, spread: Spread, now: float) -> Spread:
        """Return how the job spreads now that its streams have carried something.

        It is for us to say, also where the writer opens the streams: it does not see what is lost on the way to it.
        """
        roster = self._crossing.roster
        if not spread.is_far:
            return spread
        if roster.entered < spread.streams:
            # In reverse the word for more goes behind what is on its way, and that may take seconds.
            self._growth.begin_anew()
            return spread
        wanted = self._growth.wanted(now, spread.streams, roster.progress()[0], roster.paths())
        if wanted == spread.streams:
            return spread
        self._log.event("more-streams", streams=wanted)
        return Spread(wanted, wanted, wanted)

    def _replace_hung(self) -> Problem | None:
        """Give up streams whose source hangs, and put others in their place; return why to end, if that is too often.

        Nothing can take such a stream's thread back.  Whose file it was is told by the stream; the others go on.
        """
        roster = self._crossing.roster
        for stream in roster.streams:
            if stream.give_up_if_hung(self._policy.stall_timeout):
                self._crossing.replace(stream)
        if not roster.hung or roster.hung < _HUNG * roster.width:
            return None
        error = SourceHangs(f"{roster.hung} reads of the source's file system hang at the same time")
        return error.problem(Side.SOURCE, Phase.TRANSFER)

    def _lost(self, now: float) -> Problem | None:
        """Return why to end if no stream will come any more."""
        error = self._crossing.why_lost(self._crossing.alone_for(now, is_wanted=not self._outbox.is_finished))
        return error.problem(Side.SOURCE, Phase.TRANSFER) if error is not None else None

    def _tell(self, now: float, *, all_of_it: bool = False) -> None:
        if all_of_it or now - self._told_at >= _PROGRESS_S:
            self._told_at = now
            moved, streams = self._crossing.roster.progress()
            self._control.say(Progress(moved, self._outbox.finished_files, streams))
