"""Batches of small files in the hands of the threads that received them.

Decides what is known of one whose thread does not come back: at which file it is, what it has written, and what it had
not come to.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import NamedTuple

from fdtcp.errors import FdtError
from fdtcp.model.order import DestinationFile
from fdtd.mover.frames import Entry
from fdtd.mover.holding import Holding
from fdtd.mover.room import Share

# What came of a file, and what is known of it if it is plain.
Came = tuple[Entry, memoryview]
Plain = tuple[Entry, memoryview, DestinationFile]


class Taken(NamedTuple):
    """What became of one file: it is open, or it failed here (or both), or neither: it was damaged on the way."""

    entry: Entry
    holding: Holding | None
    error: FdtError | None


class Batch:
    """The files of one batch; belongs to whoever holds the landing's lock, but for `now`."""

    __slots__ = ("give_up", "is_lost", "now", "others", "plain", "share", "stream", "taken")

    def __init__(self, stream: int, give_up: Callable[[Batch], None], share: Share) -> None:
        """`give_up` is called with the lock when the file system that its thread is at hangs."""
        self.stream = stream
        self.share = share
        self.give_up = give_up
        self.plain: list[Plain] = []
        self.others: list[Came] = []
        self.taken: list[Taken] = []  # of `others`, those that have been seen to
        self.now = b""  # the file that its thread is at
        self.is_lost = False  # its files are others' to write: its thread keeps away from them

    def has_any(self, files: Set[int]) -> bool:
        """Whether one of these files is in it."""
        return any(one[0].file in files for one in self.plain) or any(one[0].file in files for one in self.others)
