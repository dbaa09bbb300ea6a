"""Jobs: the transfers between one pair of daemons, which one reader and one writer carry out.

Decides how transfers are grouped.  Jobs run side by side; the files of a job are known by their index in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fdtcp.model.pfn import Address
from fdtcp.model.transfer import Transfer


@dataclass(frozen=True, slots=True)
class Job:
    """All transfers between two daemons, in the user's order.

    `positions[i]` is where file `i` of this job stood among all transfers: the report keeps that order.
    """

    source: Address
    destination: Address
    transfers: tuple[Transfer, ...]
    positions: tuple[int, ...]

    def __str__(self) -> str:
        """Name the pair of daemons."""
        return f"{self.source} -> {self.destination}"


def group(transfers: Iterable[Transfer]) -> tuple[Job, ...]:
    """Put transfers with the same pair of daemons together; jobs are in the order of their first transfer."""
    members: dict[tuple[Address, Address], list[tuple[int, Transfer]]] = {}
    for position, transfer in enumerate(transfers):
        pair = (transfer.source.address, transfer.destination.address)
        members.setdefault(pair, []).append((position, transfer))
    return tuple(
        Job(source, destination, tuple(one for _, one in files), tuple(position for position, _ in files))
        for (source, destination), files in members.items()
    )
