"""Reading from a store: blocks by range, a few megabytes at a time.

Decides how a store's answers become the bytes and facts that a reader wants, and what its errors mean at a source.  The
mover reads in pieces that suit a file system; each request to a store costs a round trip, so whole blocks are fetched.
"""

from __future__ import annotations

import errno
import os
import threading

from fdtcp.errors import (
    FdtError,
    SourceChanged,
    SourceFailed,
    SourceMissing,
    SourceNotAFile,
    SourceUnreadable,
)
from fdtd.storage.base import Facts
from fdtd.storage.mapping import PrefixMap
from fdtd.storage.store import Store, Stored, key_of

# A block of the default size is one request.  Each thread that reads a file holds so much of it.
FETCH_BYTES = 4 << 20

# Stores have no permission bits of POSIX; what arrives elsewhere is the account's, and readable as files usually are.
_MODE = 0o644


class StoredSource:
    """See `fdtd.storage.base.Source`."""

    __slots__ = ("_found", "_here", "_key", "_path", "_store")

    descriptor = -1

    def __init__(self, store: Store, key: str, path: bytes, found: Stored) -> None:
        self._store = store
        self._key = key
        self._path = path
        self._found = found
        self._here = threading.local()  # what this thread fetched last: `at` and `data`

    def read_into(self, view: memoryview, offset: int) -> int:
        """Fill `view`."""
        done = 0
        while done < len(view) and offset + done < self._found.size:
            piece = self._fetched(offset + done)[: len(view) - done]
            view[done : done + len(piece)] = piece
            done += len(piece)
        return done

    def passed(self, offset: int, length: int) -> None:
        """Do nothing: what was fetched goes with the next part."""

    def facts(self) -> Facts:
        """Look again; another tag is a change even where size and time are the same."""
        now = _look(self._store, self._key, self._path)
        if now.tag != self._found.tag:
            raise SourceChanged(f"{os.fsdecode(self._path)} changed while it was sent: the store has another version")
        return facts_of(now)

    def close(self) -> None:
        """Let go of what was fetched."""
        self._here = threading.local()

    def _fetched(self, offset: int) -> memoryview:
        at: int = getattr(self._here, "at", 0)
        data: bytes = getattr(self._here, "data", b"")
        if not at <= offset < at + len(data):
            length = min(FETCH_BYTES, self._found.size - offset)
            at = offset
            try:
                data = self._store.read(self._key, offset, length, self._found.tag)
            except OSError as exc:
                raise source_error(self._path, exc) from exc
            if len(data) != length:
                raise SourceChanged(f"{os.fsdecode(self._path)}: the store gave {len(data)} bytes instead of {length}")
            self._here.at, self._here.data = at, data
        return memoryview(data)[offset - at :]


class StoredSources:
    """The reading half of a store."""

    def __init__(self, store: Store, mapped: PrefixMap) -> None:
        self._store = store
        self._map = mapped

    def open(self, path: bytes) -> StoredSource:
        """Open a source."""
        key = key_of(path, self._map)
        return StoredSource(self._store, key, path, _look(self._store, key, path))

    def reading(self) -> None:
        """Return none: each object is a request of its own."""

    def close(self) -> None:
        """Let go of connections."""
        self._store.close()


def facts_of(found: Stored) -> Facts:
    """Return what the mover wants to know."""
    return Facts(found.size, found.mtime_ns, found.mtime_ns, _MODE)


def source_error(path: bytes, exc: OSError) -> FdtError:
    """Say what a store's error means at a source."""
    name = os.fsdecode(path)
    if isinstance(exc, FileNotFoundError):
        return SourceMissing(f"{name} does not exist")
    if isinstance(exc, IsADirectoryError):
        return SourceNotAFile(f"{name} is a directory")
    if isinstance(exc, PermissionError):
        return SourceUnreadable(f"{name}: the store does not let the account {os.geteuid()} read it")
    if exc.errno == errno.ESTALE:
        return SourceChanged(f"{name} changed while it was sent: {exc.strerror}")
    return SourceFailed(f"reading {name}: {exc.strerror or exc}")


def _look(store: Store, key: str, path: bytes) -> Stored:
    try:
        found = store.find(key)
    except OSError as exc:
        raise source_error(path, exc) from exc
    if found is None:
        raise SourceMissing(f"{os.fsdecode(path)} does not exist")
    return found
