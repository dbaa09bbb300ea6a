"""One expected file at the destination: how far it is, and what has to be remembered of it.

Decides which moves from state to state there are; when they are made is the receiver's to decide.
"""

from __future__ import annotations

from dataclasses import field
from enum import Enum
from typing import Final

from fdtcp.errors import Problem
from fdtcp.model.order import Action, DestinationFile, Extent
from fdtcp.value import dataclass
from fdtd.mover.frames import End
from fdtd.mover.sums import Sum


class State(Enum):
    """How far one file is at the destination."""

    EXPECTED = "expected"
    RECEIVING = "receiving"
    COMPARING = "comparing"
    VERIFIED = "verified"  # complete, and as the source read it; not safe yet
    FINAL = "final"  # its outcome has been decided


# Legal moves; an absent one is an error of ours.
MOVES: Final = {
    State.EXPECTED: {State.RECEIVING, State.COMPARING, State.VERIFIED, State.FINAL},
    State.RECEIVING: {State.VERIFIED, State.FINAL},
    State.COMPARING: {State.VERIFIED, State.FINAL},
    State.VERIFIED: {State.FINAL},
    State.FINAL: set[State](),
}


@dataclass(slots=True)
class Arrival:
    """One expected file."""

    file: DestinationFile
    action: Action
    checksum: Sum
    kept: dict[int, Extent]  # what an earlier attempt left, unless it was refused
    kept_starts: list[int]  # their sorted offsets, and those of refused ones
    state: State = State.EXPECTED
    parts: dict[int, tuple[int, int]] = field(default_factory=dict)  # verified; offset: (length, value)
    starts: list[int] = field(default_factory=list)  # sorted offsets of `parts` and `owned`
    owned: dict[int, tuple[int, int]] = field(default_factory=dict)  # offset: (length, stream)
    verified: int = 0  # bytes in `parts`
    moved: int = 0
    kept_bytes: int = 0
    end: End | None = None
    value: int = 0  # of the whole file, once verified
    refusals: dict[int, int] = field(default_factory=dict)
    doubted: int = 0  # refusals for which an older FILE_END has been disregarded
    problem: Problem | None = None
    told: State | None = None  # the last state that `landing` acted upon

    def move(self, state: State) -> None:
        """Go on to `state`."""
        if state not in MOVES[self.state]:
            raise AssertionError(f"file {self.file.index} cannot go from {self.state} to {state}")
        self.state = state

    @property
    def is_open(self) -> bool:
        """Whether it still waits for bytes."""
        return self.state in (State.EXPECTED, State.RECEIVING, State.COMPARING)

    def settle(self) -> None:
        """Note that it is verified, and the committer's, or was."""
        self.move(State.VERIFIED)
        self.told = State.VERIFIED
