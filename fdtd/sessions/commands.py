"""What a session wants done.

Decides the vocabulary between the pure session, which decides, and `fdtd.live.session`, which does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fdtcp.errors import Problem
from fdtcp.model.order import Endpoint, KeptPartial, Order, Outcome


@dataclass(frozen=True, slots=True)
class Send:
    """Write this order to the mover."""

    order: Order


@dataclass(frozen=True, slots=True)
class CutLifeLine:
    """Close the mover's standard input."""


@dataclass(frozen=True, slots=True)
class Terminate:
    """Send SIGTERM."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Send SIGKILL."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Go on as if the process were gone: nothing ends it."""


@dataclass(frozen=True, slots=True)
class Lease:
    """These endpoints are bound by the writer."""

    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class StartSweep:
    """Start a sweeper for these destinations; answer by `on_swept`."""

    paths: tuple[bytes, ...]
    discard: bool


@dataclass(frozen=True, slots=True)
class Record:
    """Write down that these are final, from this position on."""

    position: int
    outcomes: Sequence[Outcome]


@dataclass(frozen=True, slots=True)
class RecordKept:
    """Write down that partials stay: destination and what the mover said."""

    kept: tuple[tuple[bytes, KeptPartial], ...]


@dataclass(frozen=True, slots=True)
class RecordEnd:
    """Write down that nothing will follow, and why it ended early, if it did."""

    problem: Problem | None


@dataclass(frozen=True, slots=True)
class Complain:
    """Log what the mover did wrong."""

    text: str


Command = (
    Send | CutLifeLine | Terminate | Kill | GiveUp | Lease | StartSweep | Record | RecordKept | RecordEnd | Complain
)
