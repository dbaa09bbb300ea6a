"""How the bytes of one large file get to its disk.

Decides between three roads (docs/performance.md, "To a disk").  *Direct*: past the page cache, a quarter of the CPU
time; once a job has more to write than the page cache could keep much of anyway.
*Early*: through the page cache, but the kernel is told after each block to begin writing, so that the last sync has
little left to do, and what is large and clean is dropped from the cache again.  Else nothing at all: small files, and
file systems that are memory.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from typing import Final

from fdtcp.model.order import Direct
from fdtd.storage.kernel import start_write_back
from fdtd.storage.memory import allowed_memory

# Less than that a disk writes in a fraction of a second: nobody waits for it, and somebody may want to read it soon.
LARGE_BYTES: Final = 64 << 20

# What one job may leave in the page cache: this share of the memory.
_SHARE_OF_MEMORY: Final = 8

# One write past the page cache: long enough to keep a disk busy, and a stream has a buffer of that size.
DIRECT_BYTES: Final = 2 << 20

# Where direct writes may begin and end; what is before and after goes through the page cache.  No disk and no page of
# ours wants more.
_ALIGNED_BYTES: Final = 4096

# What was told to be written so far back has been: asking for it to be dropped finds it clean.
_BEHIND_BYTES: Final = 64 << 20


def is_much(written: int) -> bool:
    """Whether so many bytes of one job are more than the page cache should keep."""
    return written > allowed_memory() // _SHARE_OF_MEMORY


def wants_direct(direct: Direct, size: int, written: int, *, has_extents: bool) -> bool:
    """Whether a file is to be written past the page cache; `written`: by this job to its file system, this one too."""
    if direct is not Direct.AUTO:
        return direct is Direct.YES
    return has_extents and size >= LARGE_BYTES and is_much(written)


class Bulk:
    """The writing of one file; used by several threads at once.  Has `direct`, a second descriptor (-1: none)."""

    __slots__ = ("_accepted", "_descriptor", "_direct", "_drops", "direct_bytes")

    def __init__(self, descriptor: int, direct: int, *, drops: bool) -> None:
        """Write to `descriptor`; `drops`: what is clean shall not stay in the page cache."""
        self._descriptor = descriptor
        self._direct = direct
        self._drops = drops
        self._accepted: deque[tuple[int, int]] = deque()
        self.direct_bytes = DIRECT_BYTES if direct >= 0 else 0

    def write(self, view: memoryview, offset: int) -> None:
        """Write all of `view`.  Raises OSError."""
        whole = len(view) // _ALIGNED_BYTES * _ALIGNED_BYTES
        if self.direct_bytes and whole and offset % _ALIGNED_BYTES == 0:
            try:
                write_all(self._direct, view[:whole], offset)
            except OSError as exc:
                if exc.errno != errno.EINVAL:
                    raise
                self.direct_bytes = 0  # some file systems refuse only now; another thread finds out for itself
            else:
                view, offset = view[whole:], offset + whole
        write_all(self._descriptor, view, offset)

    def accept(self, offset: int, length: int) -> None:
        """Let the kernel begin with a block that is there, and drop one that should be on the disk by now."""
        if self.direct_bytes:
            return
        start_write_back(self._descriptor, offset, length)
        if not self._drops:
            return
        self._accepted.append((offset, length))
        while len(self._accepted) * length > _BEHIND_BYTES:
            try:
                behind = self._accepted.popleft()
            except IndexError:
                return  # another thread was faster
            # What is not clean yet stays.
            os.posix_fadvise(self._descriptor, *behind, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Close what was opened for it."""
        if self._direct >= 0:
            os.close(self._direct)


def write_all(descriptor: int, view: memoryview, offset: int) -> None:
    """Write all of `view`.  Raises OSError."""
    done = 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], offset + done)
