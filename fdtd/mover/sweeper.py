"""The sweeper: removes what ended attempts left beside given destinations.

Decides nothing about which destinations; that is the daemon's list.  A live writer's partial is locked, so it is not
touched; the daemon hears of it, because a writer that is being killed looks alive until the kernel has let go of it.
"""

from __future__ import annotations

from fdtcp.errors import DestinationBusy, FdtError, Phase, Problem, ProtocolViolation, Side
from fdtcp.model.order import Ended, Kept, KeptPartial, Setup, Sweep
from fdtd.mover.control import Control
from fdtd.mover.journal import decode_journal, end_of
from fdtd.mover.log import Log
from fdtd.storage.base import Destinations
from fdtd.storage.choose import ChosenDestinations
from fdtd.storage.paths import Prefixes

# A daemon that starts a sweeper has its order ready.
_ORDER_S = 60.0


def main(setup: Setup, control: Control, log: Log) -> None:
    """Carry out one Sweep."""
    order = control.next_order(_ORDER_S)
    if not isinstance(order, Sweep):
        raise ProtocolViolation("a sweeper waits for Sweep")
    kept: list[KeptPartial] = []
    problem: Problem | None = None
    busy: Problem | None = None
    with Prefixes(setup.prefixes) as prefixes:
        destinations = ChosenDestinations(prefixes, mapped=setup.storage)
        for path in order.paths:
            if control.is_stopping:
                break
            try:
                left = sweep(destinations, path, discard=order.discard)
            except DestinationBusy as exc:
                log.event("sweep-busy", path=path)
                busy = busy or exc.problem(Side.DESTINATION, Phase.CLEANUP)
                continue
            except FdtError as exc:
                log.trouble("sweep-failed", path=path, code=exc.code, reason=exc.reason)
                problem = problem or exc.problem(Side.DESTINATION, Phase.CLEANUP)
                continue
            if left is not None:
                kept.append(left)
        destinations.close()
    log.event("swept", paths=len(order.paths), kept=len(kept), discard=order.discard)
    if kept:
        control.say(Kept(tuple(kept)))
    control.say(Ended(problem or busy))


def sweep(destinations: Destinations, path: bytes, *, discard: bool) -> KeptPartial | None:
    """Remove what is left beside one destination; returns what stays.

    Raises DestinationBusy for what a live writer has, FdtError.
    """
    partial = destinations.claim_left(path)
    if partial is None:
        return None
    try:
        extents = decode_journal(partial.read_journal(), None)
        safe = sum(extent.length for extent in extents)
        if safe and not discard:
            partial.cut(end_of(extents))  # its writer may have had no time for that
            return KeptPartial(partial.path, safe)
        partial.remove()
        return None
    finally:
        partial.close()
