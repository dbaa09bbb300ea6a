"""Room for files on their way to being safe: who brings more waits.

Decides how many there may be: each holds a descriptor (its lock).  Where one sync makes many safe that is the only
bound.  Where each is synced by itself, those that wait are also the time that the next one will wait: its reader takes
a stream for dead that says nothing for the stall time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fdtcp.value import dataclass
from fdtd.mover.portions import Portions
from fdtd.mover.streams import StreamBroken

# The part of the stall time that a portion of files may take which are synced one by one, and how many are the first:
# a disk that turns syncs a hundred files a second, one that is busy ten.
_PART: Final = 1 / 16
_FIRST: Final = 16

# One portion is being made safe, another one comes.
_PORTIONS: Final = 2


@dataclass(slots=True)
class Share:
    """The room that one frame has while it is handled."""

    files: int


class Room:
    """Files that are verified and not yet safe."""

    def __init__(self, lock: threading.Condition, stall_s: float, *, one_by_one: bool) -> None:
        """`lock` is held by whoever calls, but for `taken`.  `one_by_one`: it is known that files will be synced so."""
        self._lock = lock
        self._stall_s = stall_s
        self._coming = 0  # in frames that are being handled
        self._left = 0  # files that were here
        self.awaited = 0  # so many threads wait for commits
        self._one_by_one = one_by_one  # there are such files, or were
        self.uncommitted = 0  # files, each with a descriptor, that the committer has not given back
        self.alone = 0  # of these, those that are synced one by one
        self.epoch_files = self.most_open = 1 << 30  # with so many an epoch is closed; so many may be open
        self.portions = Portions(stall_s * _PART, _FIRST, self.most_open)  # of those that are synced one by one

    @property
    def part(self) -> int:
        """How many files are best brought at a time; more than an epoch would wait for none that is due."""
        return min(self.portions.files, self.epoch_files) if self._one_by_one else self.epoch_files

    def enter(self, files: int, *, alone: bool = False) -> None:
        """Note that files wait for their commit; `alone`: they are synced one by one."""
        self.uncommitted += files
        if alone:
            self._one_by_one = True
            self.alone += files

    def leave(self, files: int, *, alone: bool = False) -> None:
        """Note that nothing more will be done for files that had entered."""
        self.uncommitted -= files
        self._left += files
        if alone:
            self.alone -= files

    @contextmanager
    def taken(self, files: int, *, of_batch: bool = False) -> Iterator[Share]:
        """Have room for so many, after a wait for commits if there is too little.  Raises StreamBroken.

        Blocks of larger files are answered one by one, and wait for nothing but descriptors.
        """
        with self._lock:
            self._wait(files, of_batch=of_batch)
            self._coming += files
        share = Share(files)
        try:
            yield share
        finally:
            with self._lock:
                self.take_back(share)
                self._lock.notify_all()

    def take_back(self, share: Share) -> None:
        """Let others have the room of a frame, also if its thread may never come back."""
        self._coming -= share.files
        share.files = 0

    def _wait(self, files: int, *, of_batch: bool) -> None:
        """Wait for as long as files become safe."""
        left, since = self._left, time.monotonic()
        self.awaited += 1
        try:
            while not self._has(files, of_batch=of_batch):
                if not self._lock.wait(max(0.0, since + self._stall_s - time.monotonic())):
                    raise StreamBroken(f"no file has been made safe for {self._stall_s:.0f} s, and no more can be open")
                if self._left != left:
                    left, since = self._left, time.monotonic()
        finally:
            self.awaited -= 1

    def _has(self, files: int, *, of_batch: bool) -> bool:
        if self.uncommitted + self._coming > max(self.epoch_files, self.most_open - files):
            return False
        # Those that come may be such, too; but whoever comes while none of them waits is let in.
        is_slow = of_batch and self.alone > 0
        return not is_slow or self.alone + self._coming + files <= _PORTIONS * self.portions.files
