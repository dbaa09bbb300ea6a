"""Small files of a POSIX file system: written without a name, and given their names when all of them are safe.

Decides how that is done with the fewest system calls: a file without a name (O_TMPFILE) needs no lock, because nobody
else can open it; no look before its name is made, because nobody can have replaced it; and no sweeping, because the
kernel forgets it with its last descriptor.  A link never replaces anything, which is what we want.  With names of their
own until the commit small files took a quarter more of the CPU on a tmpfs, and a third more on ext4.

What is not plain here (no room, a file system that knows no such files, one where a sync of all files cannot be
believed) is left to `claim`, which knows what it means.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from typing import Final

from fdtcp.errors import DestinationExists, DestinationVanished, FdtError
from fdtd.storage.base import Volume
from fdtd.storage.kernel import name_file
from fdtd.storage.paths import Directories, Directory
from fdtd.storage.posix_errors import destination_error
from fdtd.storage.posix_volume import FileSystem

# Written, never read; the lowest rights that do.
_NAMELESS: Final = os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC


class PosixBundle:
    """See `fdtd.storage.base.Bundle`; has a use of each directory that it writes to."""

    __slots__ = ("_chmods", "_directories", "_files", "_open", "_published", "_system", "_system_of", "_takes")

    def __init__(
        self, directories: Directories, system_of: Callable[[Directory], FileSystem], takes: Callable[[bytes], bool]
    ) -> None:
        """Prepare.  `takes`: whether files of a directory are written here at all, and not to another storage."""
        self._directories = directories
        self._system_of = system_of
        self._takes = takes
        self._system: FileSystem | None = None
        self._open: dict[bytes, Directory | None] = {}  # by what stands before the last slash; None: not here
        self._files: list[tuple[int, Directory, bytes]] = []  # descriptor (-1: dropped), where, and its name to be
        self._published: set[int] = set()
        self._chmods: dict[tuple[bytes, int], bool] = {}  # whether files of that mode have another one from the start

    @property
    def volume(self) -> Volume:
        """Their file system."""
        assert self._system is not None, "nothing has been written"
        return self._system

    def write(self, path: bytes, mode: int, mtime_ns: int, content: memoryview) -> bool:
        """Write a whole file; see `fdtd.storage.base.Bundle`."""
        above, _, name = path.rpartition(b"/")
        try:
            directory = self._open[above]
        except KeyError:
            directory = self._enter(above, path)
        if directory is None or name in (b"", b".", b"..") or b"\0" in name:
            return False
        try:
            descriptor = os.open(b".", _NAMELESS, mode & 0o777, dir_fd=directory.descriptor)
        except OSError:
            return False
        try:
            if os.write(descriptor, content) == len(content):
                if self._chmods.get((above, mode), True):
                    self._check_mode(descriptor, above, mode)
                os.utime(descriptor, ns=(mtime_ns, mtime_ns))
                self._files.append((descriptor, directory, name))
                return True
        except OSError:
            pass
        os.close(descriptor)
        return False

    def drop(self, number: int) -> None:
        """Close one file, which is all that it takes."""
        descriptor, directory, name = self._files[number]
        self._files[number] = -1, directory, name
        os.close(descriptor)

    def publish(self) -> dict[int, FdtError]:
        """Link each into place."""
        errors: dict[int, FdtError] = {}
        for number, (descriptor, directory, name) in enumerate(self._files):
            if descriptor < 0:
                continue
            try:
                name_file(descriptor, directory.descriptor, name)
            except OSError as exc:
                errors[number] = self._error(directory, name, exc)
        self._published = {number for number in range(len(self._files)) if number not in errors}
        return errors

    def take_misplaced(self, seen: dict[object, bool]) -> dict[int, FdtError]:
        """Unlink those whose directory is not where it was."""
        errors: dict[int, FdtError] = {}
        for above, directory in self._open.items():
            if directory is None:
                continue
            try:
                self._directories.check(directory, above + b"/*", seen)
            except DestinationVanished as exc:
                files = ((number, self._files[number]) for number in self._published)
                errors |= {number: exc for number, (open_at, at, _) in files if open_at >= 0 and at is directory}
        self._unlink(errors)
        return errors

    def settle(self) -> None:
        """Let go of the debt of directories that were made."""
        for directory in self._open.values():
            if directory is not None and directory.made_in is not None:
                self._directories.settle(directory)

    def retract(self) -> None:
        """Unlink the names that were given, where they still are those of our files."""
        self._unlink(self._published)
        self._published.clear()

    def _unlink(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            descriptor, directory, name = self._files[number]
            if descriptor < 0:
                continue
            try:
                named = os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False)
                held = os.fstat(descriptor)
                if (named.st_ino, named.st_dev) == (held.st_ino, held.st_dev):
                    os.unlink(name, dir_fd=directory.descriptor)
            except OSError:
                pass  # gone already, or not ours to remove: either way there is nothing more that we can do

    def close(self) -> None:
        """Close the files, and give back the directories."""
        for descriptor, _, _ in self._files:
            if descriptor >= 0:
                os.close(descriptor)
        self._files.clear()
        for directory in self._open.values():
            if directory is not None:
                self._directories.release(directory)
        self._open.clear()

    def _enter(self, above: bytes, path: bytes) -> Directory | None:
        """Look up, or make, the directory of `path`, for this file and all that follow."""
        self._open[above] = None
        try:
            if not self._takes(path):
                return None
            directory, _ = self._directories.parent_of(path, make=True)
        except (FdtError, OSError):
            return None
        try:
            system = self._system_of(directory)
        except (FdtError, OSError):
            system = None
        if system is None or not system.is_honest or (self._system or system) is not system:
            self._directories.release(directory)
            return None
        self._system = system
        self._open[above] = directory
        return directory

    def _check_mode(self, descriptor: int, above: bytes, mode: int) -> None:
        """Give a file its mode if a default ACL, or a umask, has taken some of it; note if that is needed."""
        differs = os.fstat(descriptor).st_mode & 0o7777 != mode & 0o777
        self._chmods[above, mode] = differs
        if differs:
            os.fchmod(descriptor, mode & 0o777)

    def _error(self, directory: Directory, name: bytes, exc: OSError) -> FdtError:
        above = next(above for above, known in self._open.items() if known is directory)
        path = above + b"/" + name
        if exc.errno == errno.EEXIST:
            return DestinationExists(f"{os.fsdecode(path)} was made by somebody else meanwhile")
        if exc.errno == errno.ENOENT:
            return DestinationVanished(f"the directory of {os.fsdecode(path)} was removed by somebody else")
        return destination_error(path, exc)
