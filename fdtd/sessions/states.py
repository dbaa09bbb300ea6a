"""The states of a session, and what moves it from one to another.

Decides the table of legal moves, from which docs/states.md is drawn; a move that is not in it is a bug of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class SessionState(StrEnum):
    """The life of a session."""

    OPEN = "open"  # the mover looks at files
    MOVING = "moving"  # it was told to listen or to connect
    STOPPING = "stopping"  # it was told to stop, or is made to
    SWEEPING = "sweeping"  # it is gone and left things behind; a sweeper looks for them
    ENDED = "ended"  # no process any more, every file is final


class Event(StrEnum):
    """What moves a session on."""

    MOVE = "move"
    STOP = "stop"
    GONE = "gone"  # the mover ended and has cleaned up
    LOST = "lost"  # the mover ended and has not
    SWEPT = "swept"


MOVES: Final[Mapping[tuple[SessionState, Event], SessionState]] = {
    (SessionState.OPEN, Event.MOVE): SessionState.MOVING,
    (SessionState.OPEN, Event.STOP): SessionState.STOPPING,
    (SessionState.OPEN, Event.GONE): SessionState.ENDED,
    (SessionState.OPEN, Event.LOST): SessionState.SWEEPING,
    (SessionState.MOVING, Event.STOP): SessionState.STOPPING,
    (SessionState.MOVING, Event.GONE): SessionState.ENDED,
    (SessionState.MOVING, Event.LOST): SessionState.SWEEPING,
    (SessionState.STOPPING, Event.STOP): SessionState.STOPPING,
    (SessionState.STOPPING, Event.GONE): SessionState.ENDED,
    (SessionState.STOPPING, Event.LOST): SessionState.SWEEPING,
    (SessionState.SWEEPING, Event.SWEPT): SessionState.ENDED,
}
WORKING: Final = frozenset({SessionState.OPEN, SessionState.MOVING})
