"""Ratios of paired measurements: the only figures that mean something on a machine that others use too.

Decides how a comparison is judged: met if the median of the ratios reaches the target, open if only its interval does.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

# Enough resamples that the interval's ends move by less than a percent from run to run.
RESAMPLES: Final = 2000
CONFIDENCE: Final = 0.90


@dataclass(frozen=True, slots=True)
class Ratio:
    """Our rate over the peer's: the median over the pairs with its 90 % bootstrap interval."""

    median: float
    low: float
    high: float
    pairs: int

    def verdict(self, target: float) -> str:
        """Say "met", "open" (only the interval reaches the target) or "missed"."""
        if self.median >= target:
            return "met"
        return "open" if self.high >= target else "missed"


def print_ratios(rates: Mapping[str, Sequence[float]]) -> None:
    """Print the ratio of each row of ours, named fdtcp..., to each of the others, round by round."""
    print("\n  ratio of the rates, round by round          median   90 % interval")
    for ours in (name for name in rates if name.startswith("fdtcp")):
        for peer in (name for name in rates if not name.startswith("fdtcp")):
            ratio = ratio_of(rates[ours], rates[peer])
            print(f"  {ours + ' : ' + peer:<42} {ratio.median:6.2f}     {ratio.low:.2f} .. {ratio.high:.2f}")


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Return the ratio of rates that were measured in turn; both sequences have one value a pair, at least one."""
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    # A seed of its own: the same measurements always give the same interval.
    chance = random.Random(0)  # noqa: S311  # resampling, not secrets
    medians = sorted(median(chance.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    tail = (1 - CONFIDENCE) / 2
    low, high = medians[int(tail * RESAMPLES)], medians[int((1 - tail) * RESAMPLES) - 1]
    return Ratio(median(ratios), low, high, len(ratios))
