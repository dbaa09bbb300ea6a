"""How much of the daemon's memory the files of its users may take.

A daemon keeps what it knows of each file until its job has ended, and jobs have up to a million files with names of up
to 4 KiB each.  Decides what is too much, for one user and for all together; what a file takes is said where it is kept.

Nothing is written down here: what is taken is what the shares that exist say, so a share that its owner lost on the way
counts no more.
"""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from fdtcp.errors import Phase
from fdtcp.units import format_size, parse_size
from fdtd.errors import MemoryFull


class Memory:
    """What all users may take; safe to use from all threads."""

    def __init__(self, most: int, most_per_user: int) -> None:
        """Both in bytes."""
        self._most = most
        self._most_per_user = most_per_user
        self._lock = threading.Lock()
        # Only weak: Python's own set forgets without a lock, so it does not matter where an owner ends.
        self._shares: weakref.WeakSet[Share] = weakref.WeakSet()

    def share(self, dn: str) -> Share:
        """Return a new share of this user's, empty."""
        one = Share(self, dn)
        with self._lock:
            self._shares.add(one)
        return one

    def taken(self, dn: str | None = None) -> int:
        """Return how many bytes are taken, by all or by one user."""
        with self._lock:
            return sum(one.size for one in self._shares if dn in (None, one.dn))

    def grow(self, share: Share, size: int) -> None:
        """Let one share grow.  Raises MemoryFull, and then it has not grown."""
        with self._lock:
            mine = sum(one.size for one in self._shares if one.dn == share.dn)
            if mine + size > self._most_per_user:
                raise MemoryFull(
                    f"the files of your jobs would take more than the {format_size(self._most_per_user)} of memory "
                    "that one user may have at this daemon",
                    phase=Phase.PREFLIGHT,
                )
            if sum(one.size for one in self._shares) + size > self._most:
                raise MemoryFull(
                    f"the files of all jobs would take more than the {format_size(self._most)} of memory that this "
                    "daemon has for them",
                    phase=Phase.PREFLIGHT,
                )
            share.size += size

    def shrink(self, share: Share, size: int) -> None:
        """Let one share become smaller, down to nothing."""
        with self._lock:
            share.size = max(0, share.size - size)


class Share:
    """What one session or job of a user takes; it counts as long as it exists and was not given back."""

    def __init__(self, memory: Memory, dn: str) -> None:
        self._memory = memory
        self.dn = dn
        self.size = 0

    def grow(self, size: int) -> None:
        """Take more.  Raises MemoryFull, and then nothing was taken."""
        self._memory.grow(self, size)

    @contextmanager
    def held(self, size: int) -> Iterator[None]:
        """Take more for a while.  Raises MemoryFull."""
        self.grow(size)
        try:
            yield
        finally:
            self._memory.shrink(self, size)

    def give_back(self) -> None:
        """Take nothing any more."""
        self._memory.shrink(self, self.size)


def parse_memory(text: str) -> int:
    """Read "512MiB" or "10%" (of this host's memory) as bytes.  Raises ValueError."""
    if (match := re.fullmatch(r"\s*(\d{1,2})\s*%\s*", text)) is None:
        return parse_size(text)
    return int(match[1]) * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 100
