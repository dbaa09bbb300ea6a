"""Writing to a store: in order, without a journal, put in place in one step.

Decides what of the mover's guarantees a store can keep, and says the rest in each outcome.  Kept: nothing is visible
under its name before all of it was verified; nothing is replaced unless asked, as far as the store can refuse; an
outcome is said after the store has confirmed the file with its size.  Not kept: mode and times, locks between
transfers (in one transfer a file is claimed once; of two transfers one is refused when it puts its file in place, by a
store that can), resuming inside a file.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from typing import Final

from fdtcp.errors import (
    DestinationBlocked,
    DestinationBusy,
    DestinationExists,
    DestinationFailed,
    DestinationFull,
    DestinationUnwritable,
    DestinationVanished,
    FdtError,
)
from fdtd.storage.base import Facts, Site
from fdtd.storage.mapping import PrefixMap
from fdtd.storage.one_attempt import OneAttempt
from fdtd.storage.store import Store, Upload, key_of
from fdtd.storage.stored_source import StoredSource, facts_of
from fdtd.storage.window import WINDOW_BYTES, Window

# A store does not say how much room is left; it refuses when there is none.
_ROOM: Final = 1 << 62

# No device of this host has it: room is counted by device.
_DEVICE: Final = -2


class StoreVolume:
    """Nothing to sync: what a store has confirmed it has, object by object."""

    __slots__ = ()

    is_shared = False

    def sync(self) -> None:
        """Do nothing."""


_VOLUME: Final = StoreVolume()


class StoredPartial(OneAttempt):
    """See `fdtd.storage.base.Partial`."""

    __slots__ = ("_ending", "_home", "_is_published", "_key", "_size", "_upload", "_window", "path")

    volume = _VOLUME

    def __init__(self, home: StoredDestinations, upload: Upload, key: str, path: bytes) -> None:
        self.path = path
        self._home = home
        self._upload = upload
        self._key = key
        self._size = 0
        self._is_published = False
        self._ending = threading.Lock()
        self._window = Window(self._append)

    @property
    def promise(self) -> str:
        """What the store promises."""
        return self._upload.promise

    def write(self, view: memoryview, offset: int) -> None:
        """Hold a piece until it is verified and its turn has come."""
        self._window.write(view, offset)

    def accept(self, offset: int, length: int, size: int) -> None:
        """Send on what is in order now; after the last byte, what the upload has collected."""
        self._window.accept(offset, length)
        if self._window.position == size:
            with self._ending:
                self._finish()

    def sync_data(self) -> None:
        """Do nothing."""

    def dress(self, mode: int, mtime_ns: int) -> None:  # noqa: ARG002  # a store keeps neither
        """Send the last bytes."""
        self._finish()

    def sync(self) -> None:
        """Do nothing: see `publish`."""

    def publish(self, *, replace: bool) -> None:
        """Put it in place, and hear from the store that it is there as a whole."""
        try:
            self._upload.finish()
            self._upload.publish(replace=replace)
            self._is_published = True
            found = self._home.store.find(self._key)
        except OSError as exc:
            raise store_error(self.path, exc) from exc
        if found is None or found.size != self._size:
            what = "nothing" if found is None else f"{found.size} bytes"
            raise DestinationFailed(f"{os.fsdecode(self.path)}: the store has {what} instead of {self._size} bytes")

    def sync_name(self) -> None:
        """Do nothing."""

    def check_place(self, seen: dict[object, bool]) -> None:
        """Do nothing."""

    def settle(self) -> None:
        """Do nothing."""

    def retract(self) -> None:
        """Remove what was put in place."""
        try:
            self._home.store.remove(self._key)
        except OSError:
            pass  # gone already, or not to be had: either way there is nothing more that we can do

    def remove(self) -> None:
        """Remove what was sent, before it is in place."""
        self._window.drop()
        if not self._is_published:
            self._upload.discard()

    def facts(self) -> Facts:
        """Return how much was sent."""
        return Facts(self._size, 0, 0, 0)

    def close(self) -> None:
        """Give back the claim."""
        self._window.drop()
        if not self._is_published:
            self._upload.discard()
        self._home.release(self._key)

    def _finish(self) -> None:
        try:
            self._upload.finish()
        except OSError as exc:
            raise store_error(self.path, exc) from exc

    def _append(self, piece: bytes) -> None:
        try:
            self._upload.append(piece)
        except OSError as exc:
            raise store_error(self.path, exc) from exc
        self._size += len(piece)


class StoredExisting(StoredSource):
    """See `fdtd.storage.base.Existing`: what is in the store already is read, never changed."""

    __slots__ = ()

    volume = _VOLUME
    promise = ""

    def read_into(self, view: memoryview, offset: int) -> int:
        """Fill `view`."""
        try:
            return super().read_into(view, offset)
        except FdtError as exc:
            raise DestinationFailed(exc.reason) from exc

    def facts(self) -> Facts:
        """Look at it."""
        try:
            return super().facts()
        except FdtError as exc:
            raise DestinationFailed(exc.reason) from exc

    def dress(self, mode: int, mtime_ns: int) -> None:
        """Leave it as it is."""

    def sync(self) -> None:
        """Do nothing."""

    def publish(self, *, replace: bool) -> None:  # noqa: ARG002  # it is in place
        """See that it is still what was compared."""
        self.facts()

    def sync_name(self) -> None:
        """Do nothing."""

    def check_place(self, seen: dict[object, bool]) -> None:
        """Do nothing."""

    def settle(self) -> None:
        """Do nothing."""

    def retract(self) -> None:
        """Leave it as it is."""

    def remove(self) -> None:
        """Leave it as it is."""


class StoredDestinations:
    """The writing half of a store."""

    def __init__(self, store: Store, mapped: PrefixMap) -> None:
        self.store = store
        self._map = mapped
        self._lock = threading.Lock()
        self._claimed: set[str] = set()

    def look(self, path: bytes) -> Site:
        """Look at a destination."""
        key = key_of(path, self._map)
        try:
            found = self.store.find(key)
        except OSError as exc:
            raise store_error(path, exc) from exc
        existing = None if found is None else facts_of(found)
        return Site(existing, _DEVICE, _ROOM, bare=True, window=WINDOW_BYTES)

    def survey(self, above: bytes, names: Sequence[bytes]) -> None:
        """Return nothing: a site of its own kind is said of each file."""

    def open_existing(self, path: bytes) -> StoredExisting:
        """Open what exists, to compare it."""
        key = key_of(path, self._map)
        try:
            found = self.store.find(key)
        except OSError as exc:
            raise store_error(path, exc) from exc
        if found is None:
            raise DestinationVanished(f"{os.fsdecode(path)} does not exist any more")
        return StoredExisting(self.store, key, path, found)

    def claim(self, path: bytes, mode: int, *, journal: bool) -> StoredPartial:  # noqa: ARG002  # a store keeps neither
        """Begin a file, once in this process."""
        key = key_of(path, self._map)
        with self._lock:
            if key in self._claimed:
                raise DestinationBusy(f"{os.fsdecode(path)} is being written already")
            self._claimed.add(key)
        return StoredPartial(self, self.store.upload(key), key, path)

    def claim_left(self, path: bytes) -> StoredPartial | None:
        """Return that nothing is left to go on from.  Raises DestinationBusy."""
        with self._lock:
            if key_of(path, self._map) in self._claimed:
                raise DestinationBusy(f"{os.fsdecode(path)} is being written already")
        return None

    def bundle(self) -> None:
        """Return none: each object is an upload of its own."""

    def release(self, key: str) -> None:
        """Take back a claim."""
        with self._lock:
            self._claimed.discard(key)

    def close(self) -> None:
        """Let go of connections."""
        self.store.close()


def store_error(path: bytes, exc: OSError) -> FdtError:
    """Say what a store's error means at a destination."""
    name = os.fsdecode(path)
    if isinstance(exc, FileExistsError):
        return DestinationExists(f"{name} was made by somebody else meanwhile")
    if isinstance(exc, PermissionError):
        return DestinationUnwritable(f"{name}: the store does not let the account {os.geteuid()} write it")
    if isinstance(exc, IsADirectoryError | NotADirectoryError):
        return DestinationBlocked(f"{name}: a directory is in the way, or a file where a directory would have to be")
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return DestinationFull(f"{name}: {exc.strerror}")
    return DestinationFailed(f"{name}: {exc.strerror or exc}")
