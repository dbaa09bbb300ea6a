"""A contest: several peers do the same work in turn, for some rounds.

Decides fairness: every round has every peer once, in an order by chance, with the source in memory, the destination
empty, and as much memory as it takes found just before.  Whatever else the machine does then meets all of them, and
ratios are taken within a round.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.data import DISK, Files, Places, check, clear, laid_out, warm
from benchmarks.figures import Figure
from benchmarks.memory import find_memory
from benchmarks.metering import CommandFailed
from benchmarks.peers.base import Peer
from benchmarks.ratios import Estimate, estimate, ratio_of
from benchmarks.work import Copy, Flow, Measurement, Work
from fdtcp.cli.lab import LabFailed


@dataclass(frozen=True, slots=True)
class Contest:
    """Who does what.  `figure` is what counts; `rounds` are its own number of them, if it has one."""

    name: str
    work: Files | Flow
    peers: tuple[Peer, ...]
    figure: Figure = Figure.RATE
    rounds: int = 0


@dataclass(slots=True)
class Result:
    """What was measured: by round and label; and why a peer did not take part, or no longer."""

    name: str
    title: str
    figure: Figure
    rounds: list[dict[str, Measurement]] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)

    def labels(self) -> list[str]:
        """Return who has measurements, in the order of the contest."""
        return list(dict.fromkeys(label for measured in self.rounds for label in measured))

    def values(self, label: str, figure: Figure) -> list[float]:
        """Return that figure of one peer, for each round that has it."""
        return [figure.of(measured[label]) for measured in self.rounds if label in measured]

    def estimate(self, label: str, figure: Figure) -> Estimate | None:
        """Return the median of a figure; None if it was not measured."""
        values = self.values(label, figure)
        return estimate(values) if values else None

    def ratio(self, ours: str, theirs: str, figure: Figure) -> Estimate | None:
        """Return the ratio of a figure, taken within each round; None if they never met, or the peer's is nothing."""
        met = [measured for measured in self.rounds if ours in measured and theirs in measured]
        pairs = [(figure.of(measured[ours]), figure.of(measured[theirs])) for measured in met]
        pairs = [(our, their) for our, their in pairs if their > 0]
        return ratio_of(*zip(*pairs, strict=True)) if pairs else None


def hold(contest: Contest, places: Places, pairs: int, chance: random.Random, say: Callable[[str], None]) -> Result:
    """Hold a contest; a peer that is not installed or fails is noted, and the others go on."""
    result = Result(contest.name, str(contest.work), contest.figure)
    rounds = contest.rounds or pairs
    with ExitStack() as stack:
        work = stack.enter_context(_laid_out(contest.work, places))
        running = [peer for peer in contest.peers if _prepare(peer, work, stack, result)]
        for number in range(rounds):
            measured = {}
            for peer in chance.sample(running, len(running)):
                try:
                    measured[peer.label] = _run(peer, work, contest.work)
                except CommandFailed as exc:
                    result.absent[peer.label] = f"failed in round {number + 1}: {exc}"
                    running.remove(peer)
                    say(f"{contest.name}: {peer.label} {result.absent[peer.label]}")
                else:
                    figure = contest.figure.format(contest.figure.of(measured[peer.label]))
                    say(f"{contest.name}, round {number + 1} of {rounds}: {peer.label:<24} {figure}")
            # In the contest's order, whatever the chance was.
            result.rounds.append({peer.label: measured[peer.label] for peer in contest.peers if peer.label in measured})
    return result


@contextmanager
def _laid_out(work: Files | Flow, places: Places) -> Iterator[Work]:
    if isinstance(work, Flow):
        yield work
        return
    with laid_out(work, places) as copy:
        yield copy


def _prepare(peer: Peer, work: Work, stack: ExitStack, result: Result) -> bool:
    result.absent[peer.label] = peer.absence()
    if not result.absent[peer.label]:
        places: Sequence[Path] = (work.source.parent, work.destination.parent) if isinstance(work, Copy) else ()
        try:
            stack.enter_context(peer.ready(places))
        except (CommandFailed, LabFailed, OSError) as exc:
            result.absent[peer.label] = f"cannot be prepared: {exc}"
        else:
            del result.absent[peer.label]
            return True
    return False


def _run(peer: Peer, work: Work, kind: Files | Flow) -> Measurement:
    if not isinstance(work, Copy):
        return peer.run(work)
    try:
        # In this order: what has to be read again takes memory, too.
        if isinstance(kind, Files) and kind.source == DISK:
            warm(work)
        find_memory(work.size)
        measurement = peer.run(work)
        check(work)
    finally:
        clear(work)
    return measurement
