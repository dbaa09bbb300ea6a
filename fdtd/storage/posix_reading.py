"""Small files of a POSIX file system: read whole, one behind the other, with the fewest system calls.

Decides what is plain enough for that: open, read, look, close, in directories that stay open meanwhile.  Whatever else
there is to be found (symlinks, errors, files that have become something else) is left to `PosixSources.open`, which
knows what it means.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Final

from fdtcp.errors import FdtError
from fdtd.storage.base import Seen
from fdtd.storage.paths import Directories, Directory

# NONBLOCK: opening a pipe must not wait for its writer.
OPEN_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class PosixReading:
    """See `fdtd.storage.base.Reading`; has a use of each directory that it reads from."""

    __slots__ = ("_directories", "_open", "_takes")

    def __init__(self, directories: Directories, takes: Callable[[bytes], bool]) -> None:
        """Prepare.  `takes`: whether files of a directory are read here at all, and not from another storage."""
        self._directories = directories
        self._takes = takes
        self._open: dict[bytes, Directory | None] = {}  # by what stands before the last slash; None: not here

    def read(self, path: bytes, view: memoryview) -> Seen | None:
        """Fill `view` with a whole file; see `fdtd.storage.base.Reading`."""
        above, _, name = path.rpartition(b"/")
        try:
            directory = self._open[above]
        except KeyError:
            directory = self._enter(above, path)
        if directory is None or name in (b"", b".", b"..") or b"\0" in name or not self._directories.is_allowed(path):
            return None
        try:
            descriptor = os.open(name, OPEN_FILE, dir_fd=directory.descriptor)
        except OSError:
            return None
        try:
            if view and os.preadv(descriptor, (view,), 0) != len(view):
                return None
            status = os.fstat(descriptor)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def close(self) -> None:
        """Give back the directories."""
        for directory in self._open.values():
            if directory is not None:
                self._directories.release(directory)
        self._open.clear()

    def _enter(self, above: bytes, path: bytes) -> Directory | None:
        """Look up the directory of `path`, for this file and all that follow."""
        self._open[above] = None
        try:
            if self._takes(path):
                self._open[above], _ = self._directories.parent_of(path)
        except (FdtError, OSError):
            pass  # opening it finds out why, and says so
        return self._open[above]
