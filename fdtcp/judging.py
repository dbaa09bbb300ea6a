"""Where a job stands: what the states of its two ends, and what is wrong with them, mean for the whole.  Pure.

Decides when a stage is over, for whom it is worth waiting, and whose word about a failure counts: each end sees the
other one's trouble as one of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fdtcp.agenda import Agenda
from fdtcp.ends import End, Link
from fdtcp.errors import MoverDied, Phase, Problem, Side
from fdtcp.model.ledger import HEARSAY
from fdtcp.stages import Event, Stage

# When the source's end is gone, the destination makes safe what it has; that may take a sync, which tells nothing
# while it runs.
SETTLE_S: Final = 15.0
# When the destination is done, its reader needs a moment to notice.
WRAP_UP_S: Final = 5.0

Ends = Mapping[Side, End]


def judge(stage: Stage, ends: Ends, agenda: Agenda, *, is_late: bool) -> Event | None:
    """Return what has happened to a job in this stage; `is_late`: the stage has taken as long as it may."""
    source, destination = ends[Side.SOURCE], ends[Side.DESTINATION]
    match stage:
        case Stage.MOVING if source.problem is not None or destination.is_over:
            return Event.END_GONE
        case Stage.MOVING if agenda.ledger.is_settled:
            return Event.ALL_SAID
        case Stage.SETTLING | Stage.ABORTING if source.is_over and destination.is_over:
            return Event.BOTH_OVER
        case Stage.SETTLING if is_good(ends, agenda):
            return Event.BOTH_OVER
        case Stage.CLOSING if source.link is destination.link is Link.CLOSED:
            return Event.BOTH_OVER
        case Stage.SETTLING if _is_awaited(source, agenda) or _is_awaited(destination, agenda):
            return None
        case Stage.SETTLING | Stage.ABORTING | Stage.CLOSING if is_late:
            return Event.TOO_LONG
    return None


def is_good(ends: Ends, agenda: Agenda) -> bool:
    """Whether all is said that matters: a reader that still closes its books has nothing to add to that."""
    destination = ends[Side.DESTINATION]
    is_ended_well = destination.has_ended and destination.problem is None
    return is_ended_well and agenda.ledger.is_settled and not agenda.ledger.has_hearsay


def patience_for(ends: Ends, agenda: Agenda) -> float:
    """Return for how many seconds the end that is left may go on."""
    if not agenda.is_started:
        return 0.0
    destination = ends[Side.DESTINATION]
    if not destination.is_over and not agenda.ledger.is_settled:
        return SETTLE_S
    # The reader's last words are worth waiting for when all went well, and when only they can say what went wrong.
    is_clear = destination.problem is not None and destination.problem.code not in HEARSAY
    return 0.0 if is_clear and not agenda.ledger.has_hearsay else WRAP_UP_S


def cause_of(ends: Ends) -> tuple[Problem | None, Problem]:
    """Return why files did not end well, if an end knows; and what is said if none does."""
    unsaid = MoverDied("the destination ended without a word about this file")
    # That nothing came any more is the destination's view of whatever befell the source.
    known = [end.problem for end in (ends[Side.SOURCE], ends[Side.DESTINATION]) if end.problem is not None]
    root = next((problem for problem in known if problem.code not in HEARSAY), known[0] if known else None)
    return root, unsaid.problem(Side.DESTINATION, Phase.TRANSFER)


def _is_awaited(end: End, agenda: Agenda) -> bool:
    """Whether to wait for that daemon, whatever the other end does.  Both waits end by themselves."""
    # Whoever has two hosts in trouble should learn of both at once.
    is_first_contact = end.link is Link.OPENING and not end.was_opened
    # A daemon that is gone for a moment may know of files that became safe.
    is_lost = agenda.is_started and end.lost_since is not None and not end.is_over
    return is_first_contact or is_lost
