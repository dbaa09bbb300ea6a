"""How a job spreads over the path to the other host.

Decides by the round trip, and then by what the streams meet.  Near by, streams only take turns at cores and locks, so
there are few, and one of them carries all short files.  Far away each stream is held back by what its buffers hold and
by how it recovers from losses, so there are many, all of them carry everything, and the end of a file is cut finer:
nobody waits long for the stream that was dealt the last block.

Losses that come without a queue are not the mark of a full path: they only hold each stream back (cubic gets 9 Mbit/s
from a stream over 100 ms that loses one packet in 1,000).  Then more streams are opened, as long as that pays.  Not
with bbr, which is not held back: late streams starve there, and whoever has the last blocks is late.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fdtcp.value import dataclass

# On a LAN more than there are cores only take turns.
_NEAR_STREAMS: Final = 4
# While one stream has short files, another would only take turns with it: WIRE.md, "small files".
_NEAR_BATCH_STREAMS: Final = 1

# (round trip in seconds, streams.)  A stream with untuned buffers was measured at 0.48 Gbit/s over 50 ms, so a
# 10 Gbit/s path wants about sixteen of them.
_FAR: Final = ((0.002, 8), (0.015, 16))

# Losses do not make these slower.
_UNMOVED: Final = frozenset({"bbr", "bbr2", "bbr3"})

# The finest cut at the end of a file: a stream at 4 Mbit/s (100 ms, one packet in 1,000 lost) needs 0.5 s.
_LEAST_SHARE: Final = 256 << 10

# What is left is cut into so many pieces a stream.  With two, one stream that had met losses sent alone for 1.5 s.
_PIECES_A_STREAM: Final = 8

# How long new streams get to show what they carry: three round trips to be let in, the others to find their rate.
_LOOK_S: Final = 0.5
_LOOK_ROUND_TRIPS: Final = 10
# Round trips that are longer than the shortest one by this factor have waited in a queue: the path is full.
_QUEUED: Final = 1.25
# Twice the streams must raise the rate by this factor.  Less is noise, or taken from others.
_PAYS: Final = 1.2


@dataclass(frozen=True, slots=True)
class Spread:
    """What the distance suggests."""

    streams: int  # if nobody says how many
    batch_streams: int  # so many of all carry short files
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


def share_of(left: int, shares: int, block_size: int) -> int:
    """Return the size of the next block of a file of which so much is left, to be shared out among so many streams."""
    if not shares:
        return block_size
    share = left // (_PIECES_A_STREAM * shares) // _LEAST_SHARE * _LEAST_SHARE
    return min(block_size, max(_LEAST_SHARE, share))


NEAR: Final = spread_over(0.0, _NEAR_STREAMS)


@dataclass(frozen=True, slots=True)
class Path:
    """What the kernel knows of the way of one stream."""

    round_trip_s: float
    least_round_trip_s: float
    resent: int  # packets, ever
    congestion: str


class Growth:
    """Doubles the streams of a job that random losses hold back.  `most`: never more than that."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._is_settled = False
        self._rate_before = 0.0  # before the streams were doubled; 0: they were not
        self._since: tuple[float, int, int] | None = None  # time, bytes moved and packets resent at the last look

    def begin_anew(self) -> None:
        """Look from now on: streams that are still being opened carry nothing, and would seem not to pay."""
        self._since = None

    def wanted(self, now: float, streams: int, moved: int, paths: Sequence[Path]) -> int:
        """Return how many streams there should be where there are `streams`, which have moved so much since ever."""
        if self._is_settled or streams >= self._most or all(path.congestion in _UNMOVED for path in paths):
            return streams
        resent = sum(path.resent for path in paths)
        round_trip_s = _median([path.round_trip_s for path in paths])
        if self._since is None:
            self._since = now, moved, resent
        then, moved_then, resent_then = self._since
        if now - then < max(_LOOK_S, _LOOK_ROUND_TRIPS * round_trip_s):
            return streams
        self._since = now, moved, resent
        rate = (moved - moved_then) / (now - then)
        if rate < self._rate_before * _PAYS:
            self._is_settled = True
            return streams
        self._rate_before = 0.0
        is_queueing = round_trip_s > _QUEUED * min(path.least_round_trip_s for path in paths)
        if resent <= resent_then or is_queueing:
            return streams
        self._rate_before = rate
        return min(2 * streams, self._most)


def _median(values: Sequence[float]) -> float:
    # The standard library's brings fractions and decimals along: four milliseconds of a mover's start.
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
