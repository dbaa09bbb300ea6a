"""The files that are moved, and where they are: made before a contest, checked after each run, removed at its end.

Decides how a source gets into the page cache and that its content cannot be compressed or skipped.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.metering import CommandFailed
from benchmarks.work import Copy
from fdtcp.units import MIB, format_size

# Pieces of this size are written, and each differs from all others.
_PIECE: Final = MIB

DISK: Final = "disk"
MEMORY: Final = "memory"  # a tmpfs


@dataclass(frozen=True, slots=True)
class Files:
    """`count` files with `size` bytes each, from one kind of place to the other.

    What comes from a disk is in the page cache.  With `is_durable` the destination's disk has to have it.
    """

    count: int
    size: int
    source: str = MEMORY
    destination: str = MEMORY
    is_durable: bool = False

    def __str__(self) -> str:
        what = "1 file" if self.count == 1 else f"{self.count:,} files"
        source = "page cache" if self.source == DISK else "tmpfs"
        destination = "disk" if self.destination == DISK else "tmpfs"
        until = ", until durable" if self.is_durable else ""
        return f"{what} of {format_size(self.size)}, {source} -> {destination}{until}"


@dataclass(frozen=True, slots=True)
class Places:
    """Directories for temporary files, on a disk and on a tmpfs."""

    disk: Path
    memory: Path

    def of(self, kind: str) -> Path:
        """Return the one of that kind."""
        return self.disk if kind == DISK else self.memory


@contextmanager
def laid_out(files: Files, places: Places) -> Iterator[Copy]:
    """Make the files during the block, below new directories."""
    with ExitStack() as stack:
        homes = [
            Path(stack.enter_context(tempfile.TemporaryDirectory(dir=places.of(kind), prefix="fdt-bench-")))
            for kind in (files.source, files.destination)
        ]
        for home in homes:
            # Some servers run under accounts of their own.
            home.chmod(0o755)
        source, destination = homes[0] / "source", homes[1] / "destination"
        source.mkdir()
        _make_empty(destination)
        names = tuple(f"{number:07}" for number in range(files.count))
        for number, name in enumerate(names):
            _write(source / name, files.size, number)
            if files.source == DISK:
                _sync(source / name)
        yield Copy(source, destination, names, files.count * files.size, files.is_durable)


def warm(copy: Copy) -> None:
    """Read what is not in the page cache any more: having to would be somebody's bad luck."""
    buffer = bytearray(16 * MIB)
    for name in copy.names:
        with (copy.source / name).open("rb", buffering=0) as file:
            if not _is_cached(file.fileno()):
                while file.readinto(buffer):
                    pass


def check(copy: Copy) -> None:
    """See that exactly the files are at the destination, in full length.  Raises CommandFailed."""
    with os.scandir(copy.destination) as entries:
        sizes = {entry.name: entry.stat().st_size for entry in entries}
    if sizes.keys() != set(copy.names):
        raise CommandFailed(f"{len(sizes)} of {copy.files} files are at the destination")
    if sum(sizes.values()) != copy.size:
        raise CommandFailed(f"{sum(sizes.values())} of {copy.size} bytes are at the destination")


def clear(copy: Copy) -> None:
    """Make the destination empty for the next run."""
    shutil.rmtree(copy.destination)
    _make_empty(copy.destination)


def _is_cached(descriptor: int) -> bool:
    """Whether a file seems to be in the page cache: a byte of each piece can be read without waiting."""
    byte = bytearray(1)
    try:
        for offset in range(0, os.fstat(descriptor).st_size, _PIECE):
            os.preadv(descriptor, [byte], offset, os.RWF_NOWAIT)
    except OSError:
        return False  # EAGAIN; or a file system that cannot say
    return True


def _sync(path: Path) -> None:
    """Write a file back now: in mid-measurement it would be somebody's bad luck."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_empty(directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o777)


def _write(path: Path, size: int, number: int) -> None:
    if size <= _PIECE:
        path.write_bytes(os.urandom(size))
        return
    piece = os.urandom(_PIECE)
    with path.open("wb", buffering=0) as file:
        for offset in range(0, size, _PIECE):
            file.write(((number << 40 | offset).to_bytes(8) + piece[8:])[: size - offset])
