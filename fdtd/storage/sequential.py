"""A mounted file system that takes the bytes of a file in order only (HDFS through FUSE, tape buffers).

Decides what is left of the guarantees of `posix_destination` there.  What stays: a temporary name, the claim by a lock
(of this host, where the file system has no locks of its own), syncs, the rename.  What goes: no byte is written before
it was verified and all before it were written; there is no journal and no resuming inside a file; each file is synced
by itself, because such file systems do not know syncfs; and where neither a rename without replacing nor hard links
exist, we look before we rename, and the outcome says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace as changed
from typing import Final

from fdtcp.errors import DestinationExists, FdtError
from fdtd.storage.base import Facts, Site
from fdtd.storage.kernel import NoSafeRename
from fdtd.storage.one_attempt import OneAttempt
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_destination import PosixDestinations
from fdtd.storage.posix_existing import PosixExisting
from fdtd.storage.posix_partial import PosixPartial
from fdtd.storage.window import WINDOW_BYTES, Window

LOOKED_FIRST: Final = "the storage cannot rename without replacing: a file made there at the same moment is lost"


class SequentialPartial(OneAttempt):
    """See `fdtd.storage.base.Partial`; a partial of the file system that is only ever appended to.

    It is also its own volume: a sync of all files at once would sync nothing there.
    """

    __slots__ = ("_exists", "_inner", "_is_published", "_path", "_window", "promise")

    is_shared = False

    def __init__(self, inner: PosixPartial, path: bytes, exists: Callable[[bytes], bool]) -> None:
        self.promise = ""
        self._exists = exists
        self._inner = inner
        self._path = path
        self._is_published = False
        self._window = Window(self._append)

    @property
    def volume(self) -> SequentialPartial:
        """Itself."""
        return self

    @property
    def path(self) -> bytes:
        """The temporary name, absolute."""
        return self._inner.path

    def write(self, view: memoryview, offset: int) -> None:
        """Hold a piece until it is verified and its turn has come."""
        self._window.write(view, offset)

    def accept(self, offset: int, length: int, size: int) -> None:  # noqa: ARG002  # it ends where it ends
        """Append what is in order now."""
        self._window.accept(offset, length)

    def _append(self, piece: bytes) -> None:
        self._inner.write(memoryview(piece), self._window.position)

    def sync_data(self) -> None:
        """Sync what was appended."""
        self._inner.sync_data()

    def dress(self, mode: int, mtime_ns: int) -> None:
        """Set mode and times."""
        self._inner.dress(mode, mtime_ns)

    def sync(self) -> None:
        """Sync the file before it is in place, its name after."""
        if self._is_published:
            self._inner.sync_name()
        else:
            self._inner.sync()

    def publish(self, *, replace: bool) -> None:
        """Rename into place; see the module for what that means without a safe rename."""
        try:
            self._inner.publish(replace=replace)
        except FdtError as exc:
            if not isinstance(exc.__cause__, NoSafeRename):
                raise
            if self._exists(self._path):
                raise DestinationExists(f"{os.fsdecode(self._path)} was made by somebody else meanwhile") from exc
            self._inner.publish(replace=True)
            self.promise = LOOKED_FIRST
        self._is_published = True

    def sync_name(self) -> None:
        """Sync the directory."""
        self._inner.sync_name()

    def check_place(self, seen: dict[object, bool]) -> None:
        """Check that its path leads to it."""
        self._inner.check_place(seen)

    def settle(self) -> None:
        """Let go of the debt of directories that were made."""
        self._inner.settle()

    def retract(self) -> None:
        """Unlink the final name, if it is still our file."""
        self._inner.retract()

    def remove(self) -> None:
        """Unlink the temporary name."""
        self._window.drop()
        self._inner.remove()

    def facts(self) -> Facts:
        """Look at it."""
        return self._inner.facts()

    def close(self) -> None:
        """Close; the kernel drops the lock."""
        self._window.drop()
        self._inner.close()


class SequentialDestinations:
    """Files beneath prefixes, written from the first byte to the last."""

    def __init__(self, prefixes: Prefixes, new_mode: int = 0o755) -> None:
        self._posix = PosixDestinations(prefixes, new_mode)

    def look(self, path: bytes) -> Site:
        """Look at a destination; the reader has to keep within the window."""
        return changed(self._posix.look(path), window=WINDOW_BYTES, gives_back=False)

    def survey(self, above: bytes, names: Sequence[bytes]) -> None:
        """Return nothing: a site of its own kind is said of each file."""

    def open_existing(self, path: bytes) -> PosixExisting:
        """Open what exists, to compare it."""
        return self._posix.open_existing(path)

    def claim(self, path: bytes, mode: int, *, journal: bool) -> SequentialPartial:
        """Make an empty partial and claim it."""
        return SequentialPartial(self._posix.claim(path, mode, journal=journal), path, self._exists)

    def claim_left(self, path: bytes) -> SequentialPartial | None:
        """Claim what an earlier attempt left: it can be removed, and nothing else."""
        left = self._posix.claim_left(path)
        return None if left is None else SequentialPartial(left, path, self._exists)

    def bundle(self) -> None:
        """Return none: each file is a stream of its own."""

    def close(self) -> None:
        """Close cached directories."""
        self._posix.close()

    def _exists(self, path: bytes) -> bool:
        return self._posix.look(path).existing is not None
