"""The connecting side of one stream, after the handshake.

Decides what the answers of the listener mean: they come in the order of the frames, so the oldest unanswered piece of
work is always the one that is meant, and an answer that names another one is a violation.  Pure; the bytes are moved
by `fdtd.mover.sending`.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Final

from fdtcp.errors import ProtocolViolation
from fdtcp.value import dataclass
from fdtd.mover.frames import OF_BATCH, Header, Kind
from fdtd.mover.work import BatchWork, BlockWork, Work

# So many frames may be unanswered on one stream.  Their answers (32 bytes each) always fit into the socket buffers, so
# neither side can wait for the other to read.
WINDOW_FRAMES: Final = 64


class State(Enum):
    """What the connecting side may hear."""

    OPEN = "open"  # answers
    LEAVING = "leaving"  # we said BYE
    CLOSED = "closed"  # they said BYE


# Which frames may arrive in which state; an absent pair is a violation.
MOVES: Final = {
    (State.OPEN, Kind.ACK): State.OPEN,
    (State.OPEN, Kind.NAK): State.OPEN,
    (State.OPEN, Kind.FILE_DONE): State.OPEN,
    (State.OPEN, Kind.BYE): State.CLOSED,
    (State.LEAVING, Kind.FILE_DONE): State.LEAVING,
    (State.LEAVING, Kind.BYE): State.CLOSED,
}


@dataclass(frozen=True, slots=True)
class Answered:
    """A piece of work has been handled."""

    work: Work


@dataclass(frozen=True, slots=True)
class Refused:
    """A block must be sent again."""

    work: BlockWork


@dataclass(frozen=True, slots=True)
class RefusedSmall:
    """One file of a batch must be sent again; the batch itself is answered later."""

    file: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """The destination wants no more of a file."""

    file: int


@dataclass(frozen=True, slots=True)
class Farewell:
    """The destination has all it wants from us."""


Event = Answered | Refused | RefusedSmall | Dropped | Farewell


class StreamSender:
    """What one stream has been dealt and not been answered for."""

    def __init__(self) -> None:
        self.state = State.OPEN
        self._unanswered: deque[tuple[Work, int]] = deque()
        self._batches = 0

    @property
    def has_room(self) -> bool:
        """Whether another frame may be sent now."""
        return self.state is State.OPEN and len(self._unanswered) < WINDOW_FRAMES

    @property
    def is_idle(self) -> bool:
        """Whether everything has been answered."""
        return not self._unanswered

    @property
    def unanswered(self) -> list[Work]:
        """What would have to travel on another stream if this one died."""
        return [work for work, _ in self._unanswered]

    def dealt(self, work: Work) -> int:
        """Note a piece of work before its first byte is sent; returns a batch's number, or 0."""
        number = 0
        if isinstance(work, BatchWork):
            number = self._batches
            self._batches = (self._batches + 1) % (1 << 32)
        self._unanswered.append((work, number))
        return number

    def undealt(self) -> None:
        """Take back the last piece of work: nothing of it was sent."""
        self._unanswered.pop()

    def leave(self) -> None:
        """Note that BYE was said."""
        self.state = State.LEAVING

    def receive(self, header: Header) -> Event:
        """Take one frame from the listener.  Raises ProtocolViolation."""
        moved = MOVES.get((self.state, header.kind))
        if moved is None:
            raise ProtocolViolation(f"a {header.kind.name} while {self.state.value}")
        self.state = moved
        if header.kind is Kind.BYE:
            return Farewell()
        if header.kind is Kind.FILE_DONE:
            return Dropped(header.file)
        if not self._unanswered:
            raise ProtocolViolation(f"a {header.kind.name} for nothing")
        work, number = self._unanswered[0]
        if header.kind is Kind.NAK and header.flags & OF_BATCH:
            if not isinstance(work, BatchWork) or header.file not in work.files:
                raise ProtocolViolation(f"a NAK for file {header.file}, which is not in the batch")
            return RefusedSmall(header.file)
        _check_names(header, work, number)
        self._unanswered.popleft()
        if header.kind is Kind.ACK:
            return Answered(work)
        if not isinstance(work, BlockWork):
            raise ProtocolViolation("a NAK for what is no block")
        return Refused(work)


def _check_names(header: Header, work: Work, number: int) -> None:
    """Compare what an answer names with the oldest unanswered work."""
    if isinstance(work, BatchWork):
        named = bool(header.flags & OF_BATCH) and header.file == number
    elif isinstance(work, BlockWork):
        named = (header.file, header.offset, header.length) == (work.file, work.offset, work.length)
    else:
        named = (header.file, header.offset, header.length) == (work.file, 0, 0)
    if not named:
        raise ProtocolViolation(f"a {header.kind.name} out of order: {header}")
