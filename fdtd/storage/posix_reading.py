"""Files of a POSIX file system, one behind the other, with the fewest system calls.

Decides what is plain enough for that: one `stat` to look at a file, and open, read, look, close to read it whole, in
directories that stay open meanwhile.  Each of these calls lets go of the interpreter, which costs more than the call
where other threads want it.  Whatever else there is to be found (symlinks, errors, files that have become something
else) is left to `PosixSources.open`, which knows what it means.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Final

from fdtcp.errors import FdtError
from fdtd.storage.base import TELLABLE_NS, Look, Seen
from fdtd.storage.paths import Directories, Directory

# NONBLOCK: opening a pipe must not wait for its writer.
OPEN_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

# Of thousands of files each may be in a directory of its own, and a process may have 1,024 descriptors.
_MOST_DIRECTORIES: Final = 64


class PosixReading:
    """See `fdtd.storage.base.Reading`; has a use of each directory that it reads from."""

    __slots__ = ("_account", "_directories", "_is_scoped", "_open", "_takes")

    def __init__(self, directories: Directories, takes: Callable[[bytes], bool]) -> None:
        """Prepare.  `takes`: whether files of a directory are read here at all, and not from another storage."""
        self._directories = directories
        self._takes = takes
        self._is_scoped = directories.is_scoped
        self._account = os.geteuid()
        self._open: dict[bytes, Directory | None] = {}  # by what stands before the last slash; None: not here

    def look(self, path: bytes) -> Look | None:
        """Look at a file without opening it; see `fdtd.storage.base.Reading`."""
        directory, name = self._find(path)
        if directory is None:
            return None
        try:
            status = os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False)
        except (OSError, ValueError):  # ValueError: a NUL
            return None
        mode = status.st_mode
        if not stat.S_ISREG(mode) or status.st_mtime_ns not in TELLABLE_NS:
            return None
        # Of its own files the mode says what an account may do; of all others the kernel does, who knows of lists and
        # capabilities.
        is_own = status.st_uid == self._account and mode & stat.S_IRUSR
        if not is_own and not os.access(name, os.R_OK, dir_fd=directory.descriptor, effective_ids=True):
            return None
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns, mode & 0o777, status.st_dev

    def read(self, path: bytes, view: memoryview) -> Seen | None:
        """Fill `view` with a whole file; see `fdtd.storage.base.Reading`."""
        directory, name = self._find(path)
        if directory is None:
            return None
        try:
            descriptor = os.open(name, OPEN_FILE, dir_fd=directory.descriptor)
        except (OSError, ValueError):  # ValueError: a NUL
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
        """Give back the directories; what is read or looked at later opens them again."""
        for directory in self._open.values():
            if directory is not None:
                self._directories.release(directory)
        self._open.clear()

    def _find(self, path: bytes) -> tuple[Directory | None, bytes]:
        """Return the open directory of a file, None if the file is not for us, and the name in it."""
        above, _, name = path.rpartition(b"/")
        try:
            directory = self._open[above]
        except KeyError:
            directory = self._enter(above, path)
        if self._is_scoped and not self._directories.is_allowed(path):
            return None, name
        return directory, name

    def _enter(self, above: bytes, path: bytes) -> Directory | None:
        """Look up the directory of `path`, for this file and all that follow."""
        if path.endswith((b"/", b"/.", b"/..")):
            return None  # what stands before the last slash is not the directory of such a file
        if len(self._open) >= _MOST_DIRECTORIES:
            self.close()
        self._open[above] = None
        try:
            if self._takes(path):
                self._open[above], _ = self._directories.parent_of(path)
        except (FdtError, OSError):
            pass  # opening it finds out why, and says so
        return self._open[above]
