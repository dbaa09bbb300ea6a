"""Which back end serves a path.

Decides by the path alone: the two devices of memory tests, everything else is a POSIX file system beneath the allowed
prefixes.  A user's URL never chooses a back end.
"""

from __future__ import annotations

from fdtd.storage.base import Destinations, Existing, Partial, Site, Source
from fdtd.storage.null import NULL, ZERO, NullDestinations, ZeroSource
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_destination import PosixDestinations
from fdtd.storage.posix_source import PosixSources


class ChosenSources:
    """All sources that a reader may open."""

    def __init__(self, prefixes: Prefixes, zero_size: int) -> None:
        self._posix = PosixSources(prefixes)
        self._zero_size = zero_size

    def open(self, path: bytes) -> Source:
        """Open a source; see `fdtd.storage.base.Sources`."""
        return ZeroSource(self._zero_size) if path == ZERO else self._posix.open(path)

    def close(self) -> None:
        """Give back what is cached."""
        self._posix.close()


class ChosenDestinations:
    """All destinations that a writer may touch; see `fdtd.storage.base.Destinations`."""

    def __init__(self, prefixes: Prefixes, new_mode: int = 0o755) -> None:
        self._posix = PosixDestinations(prefixes, new_mode)
        self._null = NullDestinations()

    def look(self, path: bytes) -> Site:
        """Look at a destination."""
        return self._of(path).look(path)

    def open_existing(self, path: bytes) -> Existing:
        """Open what exists."""
        return self._of(path).open_existing(path)

    def claim(self, path: bytes, mode: int, *, journal: bool) -> Partial:
        """Make an empty partial."""
        return self._of(path).claim(path, mode, journal=journal)

    def claim_left(self, path: bytes) -> Partial | None:
        """Claim what an earlier attempt left."""
        return self._of(path).claim_left(path)

    def close(self) -> None:
        """Give back what is cached."""
        self._posix.close()

    def _of(self, path: bytes) -> Destinations:
        return self._null if path == NULL else self._posix
