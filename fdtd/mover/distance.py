"""How a job spreads over the path to the other host.

Decides by the round trip alone.  Near by, streams only take turns at cores and locks, so there are few, and one of them
carries all small files.  Far away each stream is held back by what its buffers hold and by how it recovers from losses,
so there are many, all of them carry everything, and the end of a file is cut finer: nobody waits long for the stream
that was dealt the last block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# On a LAN more than there are cores only take turns.
_NEAR_STREAMS: Final = 4
# While one stream has small files, another would only take turns with it: WIRE.md, "small files".
_NEAR_BATCH_STREAMS: Final = 1

# (round trip in seconds, streams.)  A stream with untuned buffers was measured at 0.48 Gbit/s over 50 ms, so a
# 10 Gbit/s path wants about sixteen of them: as many as sites allow unless they say otherwise.
_FAR: Final = ((0.002, 8), (0.015, 16))


@dataclass(frozen=True, slots=True)
class Spread:
    """What the distance suggests."""

    streams: int  # if nobody says how many
    batch_streams: int  # so many of all carry small files
    shares: int  # among so many the end of a file is shared out, 0: it is not

    @property
    def is_far(self) -> bool:
        """Whether a path is so long that streams wait for it, and not for each other."""
        return self.shares > 0


def spread_over(round_trip_s: float, cores: int) -> Spread:
    """Return what suits a path with that round trip, for a host with so many cores."""
    found = Spread(min(_NEAR_STREAMS, cores), _NEAR_BATCH_STREAMS, 0)
    for least_s, streams in _FAR:
        if round_trip_s >= least_s:
            found = Spread(streams, streams, streams)
    return found


NEAR: Final = spread_over(0.0, _NEAR_STREAMS)
