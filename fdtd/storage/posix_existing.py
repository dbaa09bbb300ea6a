"""A file that was at the destination before the transfer.

Decides what "the same, so a success" takes: that it is still the file that was compared, and that it is as safe as one
that we had written: it may be the work of an attempt that died between its rename and its last sync.
"""

from __future__ import annotations

import os

from fdtcp.errors import DestinationExists
from fdtd.storage.base import Facts, Volume
from fdtd.storage.paths import Directories, Directory
from fdtd.storage.posix_errors import destination_error
from fdtd.storage.posix_partial import sync_open
from fdtd.storage.posix_source import PosixSource, facts_of
from fdtd.storage.posix_volume import FileSystem


class PosixExisting(PosixSource):
    """See `fdtd.storage.base.Existing`; never changes the file."""

    __slots__ = ("_before", "_directories", "_directory", "_is_checked", "_system")

    promise = ""
    is_shared = False

    def __init__(
        self, descriptor: int, system: FileSystem, directories: Directories, directory: Directory, path: bytes
    ) -> None:
        super().__init__(descriptor, path)
        self._system = system
        self._directories = directories
        self._directory = directory
        self._before: Facts = self.facts()
        self._is_checked = False

    @property
    def volume(self) -> Volume:
        """Its file system; itself where one sync for all files cannot be believed."""
        return self._system if self._system.is_honest else self

    def dress(self, mode: int, mtime_ns: int) -> None:
        """Leave mode and time as they are."""

    def sync(self) -> None:
        """Sync the file; once it is the one that stays: its name."""
        if self._is_checked:
            self.sync_name()
            return
        self._system.check()
        try:
            sync_open(os.fsync, self.descriptor)
        except OSError as exc:
            raise destination_error(self._path, exc) from exc

    def publish(self, *, replace: bool) -> None:  # noqa: ARG002  # nothing is put in place
        """Check that the name still leads to what was compared, and that nobody wrote to it meanwhile."""
        name = self._path.rstrip(b"/").rsplit(b"/", 1)[1]
        try:
            now = facts_of(os.stat(name, dir_fd=self._directory.descriptor, follow_symlinks=False))
        except OSError as exc:
            raise destination_error(self._path, exc) from exc
        if now != self._before:
            raise DestinationExists(f"{os.fsdecode(self._path)} was changed by somebody else while it was compared")
        self._is_checked = True

    def sync_name(self) -> None:
        """Sync the directory."""
        self._system.check()
        try:
            self._directory.sync()
        except OSError as exc:
            raise destination_error(self._path, exc) from exc

    def check_place(self, seen: dict[object, bool]) -> None:
        """Check that its directory is where it was."""
        self._directories.check(self._directory, self._path, seen)

    def settle(self) -> None:
        """Owe nothing: no directory was made."""

    def retract(self) -> None:
        """Leave it where it is: we did not put it there."""

    def remove(self) -> None:
        """Leave it where it is."""

    def close(self) -> None:
        """Close the file and give back the directory."""
        if self.descriptor >= 0:
            super().close()
            self._directories.release(self._directory)
