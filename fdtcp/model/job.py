"""Jobs: the transfers between one pair of daemons, which one reader and one writer carry out.

Decides how transfers are grouped.  Jobs run side by side; the files of a job are known by their index in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fdtcp.model.pfn import Address
from fdtcp.model.transfer import Transfer, Transfers
from fdtcp.value import dataclass


@dataclass(frozen=True, slots=True)
class Job:
    """All transfers between two daemons, in the user's order.

    `positions[i]` is where file `i` of this job stood among all transfers: the report keeps that order.
    """

    source: Address
    destination: Address
    transfers: Transfers
    positions: Sequence[int]

    def __str__(self) -> str:
        """Name the pair of daemons."""
        return f"{self.source} -> {self.destination}"


def group(transfers: Iterable[Transfer]) -> tuple[Job, ...]:
    """Put transfers with the same pair of daemons together; jobs are in the order of their first transfer."""
    known = Transfers.of(transfers)
    if len(known.pairs) == 1:
        return (Job(*known.pairs[0], known, range(len(known))),)
    members: dict[int, list[int]] = {}
    for position, pair in enumerate(known.pair_of):
        members.setdefault(pair, []).append(position)
    return tuple(Job(*known.pairs[pair], known.pick(of), tuple(of)) for pair, of in members.items())
