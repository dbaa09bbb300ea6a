"""The stages of a job and what moves it from one to the next.

Decides which moves are legal: a pair that is not in the table is a bug.  When an event happens is decided by
`fdtcp.thirdparty`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Stage(StrEnum):
    """Where a job stands."""

    MOVING = "moving"  # pre-flight and transfer, which overlap
    SETTLING = "settling"  # one end is gone, or all is said: the other gets time to end by itself
    ABORTING = "aborting"  # told to stop; outcomes may still come
    CLOSING = "closing"  # outcomes are final, the daemons are told to forget the job
    ENDED = "ended"


class Event(StrEnum):
    """What moves a job on."""

    END_GONE = "end gone"
    ALL_SAID = "all said"
    BOTH_OVER = "both over"
    TOO_LONG = "too long"
    STOP = "stop"


MOVES: Final[dict[tuple[Stage, Event], Stage]] = {
    (Stage.MOVING, Event.END_GONE): Stage.SETTLING,
    (Stage.MOVING, Event.ALL_SAID): Stage.SETTLING,
    (Stage.MOVING, Event.STOP): Stage.ABORTING,
    (Stage.SETTLING, Event.BOTH_OVER): Stage.CLOSING,
    (Stage.SETTLING, Event.TOO_LONG): Stage.ABORTING,
    (Stage.SETTLING, Event.STOP): Stage.ABORTING,
    (Stage.ABORTING, Event.BOTH_OVER): Stage.CLOSING,
    (Stage.ABORTING, Event.TOO_LONG): Stage.CLOSING,
    (Stage.ABORTING, Event.STOP): Stage.ABORTING,
    (Stage.CLOSING, Event.BOTH_OVER): Stage.ENDED,
    (Stage.CLOSING, Event.TOO_LONG): Stage.ENDED,
    (Stage.CLOSING, Event.STOP): Stage.CLOSING,
    (Stage.ENDED, Event.STOP): Stage.ENDED,
}
