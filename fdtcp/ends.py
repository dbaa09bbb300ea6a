"""One end of a job as the third party sees it, and the commands that its connection is given.  Pure.

Decides what is remembered of an end: its link, the call under way (which is made again on the next connection), how
far its news have been read, and whether its part is over.  What is called when is `fdtcp.thirdparty`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from enum import StrEnum

from fdtcp.contract import Request
from fdtcp.errors import Problem, Side
from fdtcp.model.order import KeptPartial, Outcome, StreamProgress
from fdtcp.value import dataclass


@dataclass(frozen=True, slots=True)
class Open:
    """Connect to the daemon of that side before `deadline`; a connection that is there is given up."""

    side: Side
    deadline: float


@dataclass(frozen=True, slots=True)
class Call:
    """Ask this and wait for the answer for at most `timeout` seconds."""

    side: Side
    request: Request = field(repr=False)  # one kind of it has the job's secret inside
    timeout: float


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection to that side."""

    side: Side


@dataclass(frozen=True, slots=True)
class Told:
    """These files have reached their end; each file of a job is told once."""

    outcomes: Sequence[Outcome]


Command = Open | Call | Close | Told


class Link(StrEnum):
    """The state of the connection to one daemon."""

    OPENING = "opening"
    IDLE = "idle"
    BUSY = "busy"
    BROKEN = "broken"  # to be opened again at `reopen_at`
    CLOSED = "closed"


@dataclass(slots=True)
class End:
    """What is known of one end."""

    side: Side
    link: Link = Link.OPENING
    request: Request | None = field(default=None, repr=False)  # under way, or to be made again
    was_opened: bool = False
    has_session: bool = False  # the daemon may know the job
    has_ended: bool = False  # its mover has
    is_over: bool = False  # no more news is expected of it: its mover has ended, or it is lost or has refused
    is_told_alone: bool = False  # the destination: that its source has ended
    is_aborted: bool = False
    is_finished: bool = False  # the daemon has forgotten the job
    problem: Problem | None = None
    cursor: int = 0
    moved: int = 0
    streams: tuple[StreamProgress, ...] = ()
    kept: tuple[KeptPartial, ...] = ()
    asked_at: float = 0.0
    watched_at: float = 0.0
    lost_since: float | None = None
    reopen_at: float = 0.0

    def fail(self, problem: Problem) -> None:
        """Note why this end's part is over; the first reason is the one that counts."""
        self.is_over = True
        self.problem = self.problem or problem

    def give_up(self) -> None:
        """Note that nothing more can be said to this daemon; its own grace cleans up."""
        self.link = Link.CLOSED
        self.is_over = self.is_aborted = self.is_finished = True
