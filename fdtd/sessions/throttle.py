"""What limits the rate of one session: what was agreed for its job, and its share of what the host may move.

Decides how a host's rate is shared out: evenly, and what a job does not want goes to the others.  Each way counts by
itself, as on a network interface: what the host sends and what it receives.  Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Throttle:
    """Bytes per second; 0: no limit."""

    limit: int  # of the job
    share: int = 0  # of the host's rate

    @property
    def rate(self) -> int:
        """The lower of both."""
        return min(filter(None, (self.limit, self.share)), default=0)


def deal(total: int, limits: Sequence[int]) -> list[int]:
    """Return the share of each job that has such a limit; 0 everywhere if there is no total."""
    shares = [0] * len(limits)
    if not total:
        return shares
    # Those who want least are dealt first: what they leave is shared by all behind them.
    order = sorted(range(len(limits)), key=lambda job: limits[job] or float("inf"))
    for place, job in enumerate(order):
        fair = max(1, total // (len(order) - place))
        shares[job] = min(fair, limits[job] or fair)
        total -= shares[job]
    return shares
