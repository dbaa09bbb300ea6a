"""What pre-flight has found of each file of a source, which is compared with what is found when it is read.

Decides how that is kept: by columns, like what is told of it.  A job may have a million files, and one takes 119 bytes
with its name (tracemalloc, names of 39 bytes); in an object for each it took 394.

Not thread-safe: `fdtd.mover.outbox` holds the lock while it writes; what is noted once is never changed.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from fdtcp.errors import ProtocolViolation
from fdtcp.model.columns import run_of
from fdtd.storage.base import Look

# No file's path is empty, so this is one that has not been described.
_UNKNOWN: Final = b""


class Known(NamedTuple):
    """One described file: what was found first."""

    path: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    device: int


class FirstLooks:
    """All described files of a job, by index."""

    def __init__(self) -> None:
        self._paths: list[bytes] = []
        self._sizes: array[int] = array("q")
        self._mtimes: array[int] = array("q")
        self._ctimes: array[int] = array("q")
        self._devices: array[int] = array("Q")
        self.over = bytearray()  # whether nothing more of a file will be asked for

    def note(self, files: Sequence[int], paths: Sequence[bytes], looks: Sequence[Look]) -> None:
        """Take what was found of these files.  Raises ProtocolViolation for one that is known already."""
        if not files:
            return
        self._grow(max(files) + 1)
        known = next(filter(self.__contains__, files), None)
        if known is not None:
            raise ProtocolViolation(f"file {known} is described twice")
        sizes, mtimes, ctimes, _, devices = zip(*looks, strict=True)
        if (run := run_of(files)) is not None:
            self._paths[run] = paths
        else:
            for file, path in zip(files, paths, strict=True):
                self._paths[file] = path
        for column, values in (
            (self._sizes, sizes),
            (self._mtimes, mtimes),
            (self._ctimes, ctimes),
            (self._devices, devices),
        ):
            if run is not None:
                column[run] = array(column.typecode, values)
            else:
                for file, value in zip(files, values, strict=True):
                    column[file] = value

    def __contains__(self, file: int) -> bool:
        return 0 <= file < len(self._paths) and self._paths[file] != _UNKNOWN

    def __getitem__(self, file: int) -> Known:
        if file not in self:
            raise KeyError(file)
        return Known(self._paths[file], self._sizes[file], self._mtimes[file], self._ctimes[file], self._devices[file])

    def unknown(self, files: Sequence[int]) -> int | None:
        """Return one of these files that has not been described, if there is one."""
        if (run := run_of(files)) is not None and run.stop <= len(self._paths) and all(self._paths[run]):
            return None
        return next((file for file in files if file not in self), None)

    def sizes(self, files: Sequence[int]) -> Sequence[int]:
        """Return how long these files are."""
        run = run_of(files)
        return self._sizes[run] if run is not None else list(map(self._sizes.__getitem__, files))

    def facts(self, files: Iterable[int]) -> Iterator[tuple[int, bytes, int, int, int]]:
        """Return of each of these files itself, path, size, mtime_ns and ctime_ns, without an object for it."""
        files = tuple(files)
        columns = (self._paths, self._sizes, self._mtimes, self._ctimes)
        return zip(files, *(map(column.__getitem__, files) for column in columns), strict=True)

    def _grow(self, files: int) -> None:
        if (more := files - len(self._paths)) > 0:
            self._paths += [_UNKNOWN] * more
            for column in (self._sizes, self._mtimes, self._ctimes, self._devices):
                column.frombytes(bytes(column.itemsize * more))
            self.over.extend(bytes(more))
