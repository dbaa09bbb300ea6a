"""When a broken stream is opened again, and when a job has had enough of that.

Decides pauses and bounds.  A stream is opened again for as long as its job lasts: an interface that was down for an
hour comes back, and a job that other streams carried meanwhile must not crawl on with what was left.  The pauses grow,
because each attempt on a dead way takes its time.  A job ends where it gets nowhere: where no stream is open for the
time that opening one may take (`fdtd.mover.crossing`), where streams break faster than they are worth, or where they
open well and nothing comes through.  Pure: `now` comes from the caller.
"""

from __future__ import annotations

from collections import deque
from typing import Final

_PAUSE_S: Final = 0.3
# Others carry the job: what comes back is in use again within half a minute.
_LONG_PAUSE_S: Final = 30.0
# Nobody does, and the job ends when that lasts: several attempts have to fit into its patience.
_ALONE_PAUSE_S: Final = 2.0
_ALONE_PART: Final = 1 / 5

# So often a job opens streams again within that time, for each of its streams: a network that lets a few bytes through
# and breaks again would otherwise keep a job busy for ever, sending the same blocks.
_BREAKS: Final = 3
_BREAKS_WITHIN_S: Final = 60.0

# So many streams one behind the other, for each that a job has, may open and bring nothing through: each takes the
# stall time.  Other ends are told of first: a destination that hangs after two of these times, a source after four; and
# a batch that was too much for its destination has been halved to single files by then (`portions`).
_BARREN: Final = 8


def pause_after(failures: int, patience_s: float | None) -> float:
    """Return for how long to wait after so many attempts in a row that failed, at least one.

    `patience_s`: how long the job lasts without a stream; None while others carry it.
    """
    most = _LONG_PAUSE_S if patience_s is None else min(_ALONE_PAUSE_S, patience_s * _ALONE_PART)
    return min(_PAUSE_S * 2.0 ** min(failures - 1, 10), most)


class Wear:
    """What the streams of one job have suffered."""

    def __init__(self) -> None:
        self._breaks: deque[float] = deque()
        self._barren = 0  # streams that brought nothing through since one last did

    def broke(self, now: float, lanes: int) -> float:
        """Take one of the breaks that the streams of so many lanes may have.

        Returns 0, or in how many seconds to ask again.
        """
        while self._breaks and now - self._breaks[0] >= _BREAKS_WITHIN_S:
            self._breaks.popleft()
        if len(self._breaks) < _BREAKS * lanes:
            self._breaks.append(now)
            return 0.0
        return self._breaks[0] + _BREAKS_WITHIN_S - now

    def ended(self, *, is_barren: bool) -> None:
        """Note that a stream has ended, and whether nothing has come through: not on it, nor on those that run."""
        self._barren = self._barren + 1 if is_barren else 0

    def is_barren(self, streams: int) -> bool:
        """Whether so many streams one behind the other have brought nothing through."""
        return self._barren >= streams > 0

    def is_hopeless(self, lanes: int) -> bool:
        """Whether so much was tried in vain that the way itself lets nothing through."""
        return self.is_barren(_BARREN * lanes)
