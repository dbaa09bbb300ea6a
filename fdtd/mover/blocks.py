"""The blocks of one large file at the reader: which is next, and which are on their way.

Decides that what came back travels first, and, where the destination's storage takes bytes in order only, that no block
goes that ends further than a window behind the first one that has not been answered for (docs/decisions/0040).

Pure and not thread-safe: `fdtd.mover.plan` has one for each file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import field

from fdtcp.value import dataclass
from fdtd.mover.sums import Sum
from fdtd.mover.work import BlockWork


@dataclass(slots=True)
class Blocks:
    """The blocks of one file that have not been answered for, and what is known of the others."""

    size: int
    cuts: Iterator[BlockWork]
    checksum: Sum
    returned: deque[BlockWork] = field(default_factory=deque)
    ahead: BlockWork | None = None  # cut, but not dealt
    unsent: int = 0  # dealt, but not yet sent
    unanswered: int = 0  # dealt, but not yet acknowledged (end and abort included)
    sums: dict[int, tuple[int, int]] = field(default_factory=dict)  # offset: (length, value)
    end_dealt: bool = False
    end_answered: bool = False
    aborted: bool = False
    window: int = 0
    dealt: set[int] = field(default_factory=set)  # with a window: offsets of blocks that are not answered for

    def next_block(self) -> BlockWork | None:
        """Deal the next block; None if there is none, or none that may go now."""
        if self.window and not self._is_within():
            return None
        if self.returned:
            work: BlockWork | None = self.returned.popleft()
        else:
            work, self.ahead = self.ahead or next(self.cuts, None), None
        if self.window and work is not None:
            self.dealt.add(work.offset)
        return work

    def _is_within(self) -> bool:
        """Whether the next block, the lowest that there is, may go; the lowest of all always may."""
        if not self.has_block():
            return False
        if len(self.returned) > 1:
            self.returned = deque(sorted(self.returned, key=lambda work: work.offset))
        work = self.returned[0] if self.returned else self.ahead
        assert work is not None, "there is a block"
        lowest = min(self.dealt, default=work.offset)
        return work.offset <= lowest or work.offset + work.length <= lowest + self.window

    def has_block(self) -> bool:
        """Whether a block is left to deal."""
        if not self.returned and self.ahead is None:
            self.ahead = next(self.cuts, None)
        return bool(self.returned) or self.ahead is not None
