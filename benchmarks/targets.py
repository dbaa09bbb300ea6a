"""What is to be reached, as a table, and how far measurements are from it.

Decides nothing about the figures: they are the owner's, from part 1 of issue 3 unless a line says otherwise, for two
cores, default options, with a checksum unless the label says none.  Ratios are those of data phases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.contest import Result
from benchmarks.figures import Figure
from benchmarks.ratios import Estimate, Verdict, ratio_of

OURS: Final = "fdtcp"
NO_SUM: Final = "fdtcp, no checksum"
# How the labels of GridFTP begin where it compares the sums of both ends, as we do, and where it has only options.  Its
# md5 takes twice as long, and is no target.
GRIDFTP_SUMS: Final = "gridftp with adler32"
_GRIDFTP_BARE: Final = "gridftp -"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure of `ours` in a contest, which is to reach `value`; or to stay below it if it is a limit.

    With `peer` it is the ratio to the best of the peers whose label begins like that, taken round by round; with
    `against` the ratio to the same figure of ours in that other contest.
    """

    contest: str
    ours: str
    figure: Figure
    value: float
    peer: str = ""
    against: str = ""
    is_limit: bool = False
    source: str = "issue 3, part 1"

    @property
    def is_ratio(self) -> bool:
        """Whether it is a ratio, not a figure of its own."""
        return bool(self.peer or self.against)

    @property
    def text(self) -> str:
        """Say what is to be reached."""
        return self.text_with(self.peer or self.against)

    def text_with(self, peer: str) -> str:
        """Say it with the peer that it came to be."""
        sign = "<=" if self.is_limit else ">="
        return f"{sign} {self.value:g} {f'x {peer or self.peer}' if self.is_ratio else self.figure.unit}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a target stands; `peer` is who it was compared with."""

    target: Target
    estimate: Estimate | None
    verdict: Verdict
    peer: str = ""


_BOTH_SUM: Final = "issue 3, part 1: both with a checksum"
_WE_SUM: Final = "issue 3, part 1: only we with a checksum"
# A megabyte a side is meant decimal; "flat" and "without a cliff" are read as: at most a quarter dearer.
TARGETS: Final = (
    Target("memory-1", NO_SUM, Figure.RATE, 0.95, "iperf3"),
    Target("memory-4", NO_SUM, Figure.RATE, 0.95, "iperf3"),
    Target("large", NO_SUM, Figure.RATE, 1.0, "cp"),
    Target("large", OURS, Figure.RATE, 0.85, "cp"),
    # Twice: with a sum on both sides, and the stricter way, with one only on ours.
    Target("large", OURS, Figure.RATE, 1.3, GRIDFTP_SUMS, source=_BOTH_SUM),
    Target("large", OURS, Figure.RATE, 1.3, _GRIDFTP_BARE, source=_WE_SUM),
    Target("four", OURS, Figure.RATE, 1.4, GRIDFTP_SUMS, source=_BOTH_SUM),
    Target("four", OURS, Figure.RATE, 1.4, _GRIDFTP_BARE, source=_WE_SUM),
    Target("ext4", OURS, Figure.RATE, 0.95, "cp"),
    Target("small", OURS, Figure.FILES, 0.75, "cp"),
    Target("small", OURS, Figure.FILES, 8.0, "gridftp"),
    # The best may be one that asks nobody who he is; this one does, as we do.
    Target("small", OURS, Figure.FILES, 8.0, "gridftp -cc 4 -pp, GSI", source="issue 3, part 1: both authenticate"),
    Target("small-many", OURS, Figure.FILES, 0.8, against="small", source="issue 3, part 1: without a cliff"),
    Target("small-1MiB", OURS, Figure.RATE, 0.85, "cp"),
    Target("tiny", OURS, Figure.WHOLE, 0.30, is_limit=True),
    Target("large", NO_SUM, Figure.SOURCE_CPU, 0.1, is_limit=True),
    Target("large", NO_SUM, Figure.DESTINATION_CPU, 1.0, _GRIDFTP_BARE, is_limit=True),
    Target("large", OURS, Figure.OVERHEAD, 0.5, is_limit=True),
    Target("small", OURS, Figure.OVERHEAD, 0.5, is_limit=True),
    Target("large", OURS, Figure.PEAK, 200, is_limit=True),
    Target("small", OURS, Figure.PEAK, 200, is_limit=True),
    Target("small-many", OURS, Figure.PEAK, 200, is_limit=True),
    *(
        Target(f"wan {rtt} ms {loss}%", OURS, Figure.RATE, 0.9, "iperf3", source="issue 3, part 2")
        for rtt in (20, 50, 100)
        for loss in ("0.0", "0.1")
    ),
)


def judge(results: Mapping[str, Result], targets: tuple[Target, ...] = TARGETS) -> list[Standing]:
    """Say how the targets of these contests stand."""
    return [_judge(target, results) for target in targets if target.contest in results]


def is_wanted(contest: str, label: str, targets: tuple[Target, ...] = TARGETS) -> bool:
    """Whether a target of that contest needs that peer, or the contest is one that others are compared with."""
    return any(
        label == target.ours or (target.peer != "" and label.startswith(target.peer))
        for target in targets
        if contest in (target.contest, target.against)
    )


def _judge(target: Target, results: Mapping[str, Result]) -> Standing:
    result = results[target.contest]
    peer = target.against
    if target.peer:
        peer = _best(target, result)
        found = result.ratio(target.ours, peer, target.figure) if peer else None
    elif target.against:
        found = _across(target, result, results.get(target.against))
    else:
        found = result.estimate(target.ours, target.figure)
    if found is None:
        return Standing(target, None, Verdict.UNKNOWN, peer)
    return Standing(target, found, found.verdict(target.value, is_limit=target.is_limit), peer)


def _best(target: Target, result: Result) -> str:
    """Return the strongest of the peers that are meant."""
    meant = [label for label in result.labels() if label.startswith(target.peer)]
    medians = {label: found.median for label in meant if (found := result.estimate(label, target.figure)) is not None}
    best = max if target.figure.is_rate else min
    return best(medians, key=medians.__getitem__) if medians else ""


def _across(target: Target, result: Result, other: Result | None) -> Estimate | None:
    """Compare rounds of two contests in their order, which is all that can be done."""
    ours = result.values(target.ours, target.figure)
    theirs = other.values(target.ours, target.figure) if other is not None else []
    pairs = list(zip(ours, theirs, strict=False))
    return ratio_of(*zip(*pairs, strict=True)) if pairs else None
