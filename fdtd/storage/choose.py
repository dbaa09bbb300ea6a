"""Which back end serves a path.

Decides by the path alone: the two devices of memory tests; what the site has mapped to another storage; everything
else is a POSIX file system beneath the allowed prefixes.  A user's URL never chooses a back end, and a mapped path has
to lie beneath an allowed prefix and within the caller's token as any other.  A back end is imported when it is needed.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from fdtcp.model.order import Mapped
from fdtd.storage.base import Bundle, Destinations, Existing, Partial, Reading, Site, Source, Sources, Survey
from fdtd.storage.mapping import SEQUENTIAL, PrefixMap
from fdtd.storage.null import NULL, ZERO, NullDestinations, ZeroSource
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_destination import PosixDestinations
from fdtd.storage.posix_source import PosixSources

_DEVICES: Final = NULL.rpartition(b"/")[0]


class ChosenSources:
    """All sources that a reader may open."""

    def __init__(self, prefixes: Prefixes, zero_size: int, mapped: Sequence[Mapped] = ()) -> None:
        self._posix = PosixSources(prefixes)
        self._prefixes = prefixes
        self._zero_size = zero_size
        self._map = PrefixMap(mapped)
        self._lock = threading.Lock()
        self._others: dict[str, Sources] = {}

    def open(self, path: bytes) -> Source:
        """Open a source; see `fdtd.storage.base.Sources`."""
        if path == ZERO:
            return ZeroSource(self._zero_size)
        place = self._map.find(path)
        if place is None or place.backend == SEQUENTIAL:  # read as any other file
            return self._posix.open(path)
        self._prefixes.check_text(path)
        return self._other(place.backend).open(path)

    def reading(self) -> Reading:
        """Return a way to read many files of the file system."""
        return self._posix.reading(lambda path: _is_plain(path, self._map))

    def close(self) -> None:
        """Give back what is cached."""
        self._posix.close()
        for other in self._others.values():
            other.close()

    def _other(self, backend: str) -> Sources:
        with self._lock:
            if backend not in self._others:
                from fdtd.storage.opening import open_store
                from fdtd.storage.stored_source import StoredSources

                self._others[backend] = StoredSources(open_store(backend), self._map)
            return self._others[backend]


class ChosenDestinations:
    """All destinations that a writer may touch; see `fdtd.storage.base.Destinations`."""

    def __init__(self, prefixes: Prefixes, new_mode: int = 0o755, mapped: Sequence[Mapped] = ()) -> None:
        self._posix = PosixDestinations(prefixes, new_mode)
        self._null = NullDestinations()
        self._prefixes = prefixes
        self._new_mode = new_mode
        self._map = PrefixMap(mapped)
        self._lock = threading.Lock()
        self._others: dict[str, Destinations] = {}

    def look(self, path: bytes) -> Site:
        """Look at a destination."""
        return self._of(path).look(path)

    def survey(self, above: bytes, names: Sequence[bytes]) -> Survey | None:
        """Look at many destinations of a directory of the file system."""
        return self._posix.survey(above, names) if _is_plain(above + b"/any", self._map) else None

    def open_existing(self, path: bytes) -> Existing:
        """Open what exists."""
        return self._of(path).open_existing(path)

    def claim(self, path: bytes, mode: int, *, journal: bool) -> Partial:
        """Make an empty partial."""
        return self._of(path).claim(path, mode, journal=journal)

    def claim_left(self, path: bytes) -> Partial | None:
        """Claim what an earlier attempt left."""
        return self._of(path).claim_left(path)

    def bundle(self) -> Bundle:
        """Return a bundle that takes files of the file system, and no others."""
        return self._posix.bundle(lambda path: _is_plain(path, self._map))

    def close(self) -> None:
        """Give back what is cached."""
        self._posix.close()
        for other in self._others.values():
            other.close()

    def _of(self, path: bytes) -> Destinations:
        if path == NULL:
            return self._null
        if (place := self._map.find(path)) is None:
            return self._posix
        if place.backend != SEQUENTIAL:
            self._prefixes.check_text(path)
        with self._lock:
            if place.backend not in self._others:
                self._others[place.backend] = self._make(place.backend)
            return self._others[place.backend]

    def _make(self, backend: str) -> Destinations:
        if backend == SEQUENTIAL:
            from fdtd.storage.sequential import SequentialDestinations

            return SequentialDestinations(self._prefixes, self._new_mode)
        from fdtd.storage.opening import open_store
        from fdtd.storage.stored_destination import StoredDestinations

        return StoredDestinations(open_store(backend), self._map)


def _is_plain(path: bytes, mapped: PrefixMap) -> bool:
    """Whether a path, and all of its directory, is the file system's."""
    above = path.rpartition(b"/")[0]
    return above != _DEVICES and mapped.find(above + b"/any") is None
