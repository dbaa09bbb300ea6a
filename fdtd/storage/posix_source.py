"""Reading files of a POSIX file system.

Decides what may be read: regular files beneath the allowed prefixes.  Symlinks at the source are followed as long as
what they lead to lies beneath a prefix too (data sets of experiments are often directories of symlinks).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import Final

from fdtcp.errors import FdtError, PathRefused, SourceFailed, SourceMissing, SourceNotAFile, SourceUnreadable
from fdtd.storage.base import Facts
from fdtd.storage.memory import allowed_memory
from fdtd.storage.paths import Directories, Prefixes
from fdtd.storage.posix_reading import OPEN_FILE, PosixReading

# A file that takes less than this share of the memory may be wanted again, and found in the page cache.
_SHARE_OF_MEMORY: Final = 2


class PosixSource:
    """An open regular file."""

    __slots__ = ("_path", "descriptor")

    def __init__(self, descriptor: int, path: bytes) -> None:
        self.descriptor = descriptor
        self._path = path

    def read_into(self, view: memoryview, offset: int) -> int:
        """Fill `view`; see `fdtd.storage.base.Source`."""
        done = 0
        try:
            while done < len(view):
                count = os.preadv(self.descriptor, (view[done:],), offset + done)
                if count == 0:
                    break
                done += count
        except OSError as exc:
            raise SourceFailed(f"reading {os.fsdecode(self._path)}: {exc.strerror}") from exc
        return done

    def passed(self, offset: int, length: int) -> None:
        """Drop a part of a file that memory cannot hold: who reads it next would not find its beginning anyway."""
        try:
            if os.fstat(self.descriptor).st_size > allowed_memory() // _SHARE_OF_MEMORY:
                os.posix_fadvise(self.descriptor, offset, length, os.POSIX_FADV_DONTNEED)
        except OSError:
            pass  # the bytes have been read: it was only meant well

    def facts(self) -> Facts:
        """Look again."""
        try:
            return facts_of(os.fstat(self.descriptor))
        except OSError as exc:
            raise SourceFailed(f"looking at {os.fsdecode(self._path)}: {exc.strerror}") from exc

    def close(self) -> None:
        """Close the file; its number may be another file's the next moment, so nobody finds it here any more."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class PosixSources:
    """Files beneath prefixes."""

    def __init__(self, prefixes: Prefixes) -> None:
        self._directories = Directories(prefixes)

    def open(self, path: bytes) -> PosixSource:
        """Open a regular file, following symlinks within the prefixes."""
        try:
            descriptor = self._open_through_symlinks(path)
        except OSError as exc:
            raise _source_error(path, exc) from exc
        source = PosixSource(descriptor, path)
        try:
            mode = os.fstat(descriptor).st_mode
        except OSError as exc:
            source.close()
            raise _source_error(path, exc) from exc
        if not stat.S_ISREG(mode):
            source.close()
            raise SourceNotAFile(f"{os.fsdecode(path)} is {kind_of(mode)}")
        return source

    def reading(self, takes: Callable[[bytes], bool] = lambda _path: True) -> PosixReading:
        """Return a way to read many files; `takes`: which paths are ours at all."""
        return PosixReading(self._directories, takes)

    def close(self) -> None:
        """Close cached directories."""
        self._directories.close()

    def _open_through_symlinks(self, path: bytes) -> int:
        try:
            return self._open_plain(path)
        except OSError as exc:
            # ENOTDIR: O_DIRECTORY met a symlink as the last directory.
            if exc.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
        resolved = os.path.realpath(path, strict=True)
        return self._open_plain(resolved)

    def _open_plain(self, path: bytes) -> int:
        directory, name = self._directories.parent_of(path)
        try:
            return os.open(name, OPEN_FILE, dir_fd=directory.descriptor)
        except FileNotFoundError:
            self._directories.forget(directory)
            raise
        finally:
            self._directories.release(directory)


def facts_of(status: os.stat_result) -> Facts:
    """Return what the mover wants to know of a stat result."""
    return Facts(
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_mode & 0o777,
        (status.st_dev, status.st_ino),
    )


def kind_of(mode: int) -> str:
    """Name the kind of a file that is not a regular one."""
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFLNK: "a symlink",
        stat.S_IFSOCK: "a socket",
        stat.S_IFIFO: "a pipe",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "a regular file")


def _source_error(path: bytes, exc: OSError) -> FdtError:
    name = os.fsdecode(path)
    if exc.errno in (errno.ENOENT, errno.ENOTDIR):
        return SourceMissing(f"{name} does not exist")
    if exc.errno in (errno.EACCES, errno.EPERM):
        return SourceUnreadable(f"{name} may not be read by the account {os.geteuid()}")
    if exc.errno == errno.ENXIO:
        return SourceNotAFile(f"{name} is a socket or a pipe")
    if exc.errno == errno.ELOOP:
        return SourceMissing(f"{name}: too many symlinks")
    if exc.errno == errno.EXDEV:
        return PathRefused(f"{name} leads out of the directories that this site allows")
    if exc.errno == errno.ENAMETOOLONG:
        return SourceMissing(f"{name}: the name is too long")
    return SourceFailed(f"opening {name}: {exc.strerror}")
