"""A mounted file system: what is known of it, and its sync, which is that of all files on it.

Decides that a sync that has failed is for good.
"""

from __future__ import annotations

import os

from fdtd.storage.kernel import has_extents, has_honest_syncfs, sync_file_system, writes_in_turn
from fdtd.storage.paths import Directory
from fdtd.storage.posix_errors import destination_error


class FileSystem:
    """One mounted file system, as something that can be synced, until that fails once.

    The kernel reports a lost write once per descriptor, and says nothing of which file it was.  So nothing on it is
    believed any more, also what was written before and whose turn to be synced comes later.
    """

    __slots__ = ("_descriptor", "_lost", "has_extents", "is_honest", "writes_in_turn", "written")

    is_shared = True

    def __init__(self, directory: Directory) -> None:
        # A descriptor of its own, opened before the first write: write-back errors are reported once per descriptor,
        # to those that were open when the error happened.
        self._descriptor = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory.descriptor)
        self._lost: OSError | None = None
        self.is_honest = has_honest_syncfs(self._descriptor)  # else each file has to be synced by itself
        self.has_extents = has_extents(self._descriptor)  # else room is not reserved
        self.writes_in_turn = writes_in_turn(self._descriptor)
        self.written = 0  # bytes of large files, also of those that have only begun

    def sync(self) -> None:
        """Sync the whole file system."""
        self.check()
        try:
            sync_file_system(self._descriptor)
        except OSError as exc:
            self._lost = exc
            raise destination_error(b"the file system", exc) from exc

    def check(self) -> None:
        """Raise what the sync that failed has raised, if one has."""
        if self._lost is not None:
            raise destination_error(b"the file system", self._lost) from self._lost

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)
