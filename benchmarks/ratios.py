"""Ratios of paired measurements: the only figures that mean something on a machine that others use too.

Decides how a comparison is judged: met if the median reaches the target, open if only its 90 % bootstrap interval does.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Final

# Enough resamples that the interval's ends move by less than a percent from run to run.
RESAMPLES: Final = 2000
CONFIDENCE: Final = 0.90


class Verdict(StrEnum):
    """How a target stands."""

    MET = "met"
    OPEN = "open"  # only the interval reaches it: measure again, on a quieter machine or with more pairs
    MISSED = "missed"
    UNKNOWN = "not measured"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median with its 90 % bootstrap interval, and of how many values it is."""

    median: float
    low: float
    high: float
    count: int

    def verdict(self, target: float, *, is_limit: bool = False) -> Verdict:
        """Say whether the target is reached from below, or kept from above if it is a limit."""
        if is_limit:
            return _verdict(self.median <= target, self.low <= target)
        return _verdict(self.median >= target, self.high >= target)


def estimate(values: Sequence[float]) -> Estimate:
    """Return the median of at least one value, and what it might have been."""
    # A seed of its own: the same measurements always give the same interval.
    chance = random.Random(0)  # noqa: S311  # resampling, not secrets
    medians = sorted(median(chance.choices(values, k=len(values))) for _ in range(RESAMPLES))
    tail = (1 - CONFIDENCE) / 2
    return Estimate(
        median(values), medians[int(tail * RESAMPLES)], medians[int((1 - tail) * RESAMPLES) - 1], len(values)
    )


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """Return the ratio of values that were measured in turn; both sequences have one value a pair, at least one."""
    return estimate([our / their for our, their in zip(ours, theirs, strict=True)])


def _verdict(is_reached: bool, is_possible: bool) -> Verdict:
    if is_reached:
        return Verdict.MET
    return Verdict.OPEN if is_possible else Verdict.MISSED
