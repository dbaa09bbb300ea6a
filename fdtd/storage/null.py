"""/dev/zero as a source and /dev/null as a destination: transfers from memory to memory.

Decides that zeros are a sparse file in memory (so that sendfile works as for any file, and takes no memory), and that
what goes to /dev/null is verified like everything else before it is dropped.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from fdtcp.errors import DestinationVanished
from fdtd.storage.base import Existing, Facts, Site, Survey
from fdtd.storage.one_attempt import OneAttempt
from fdtd.storage.posix_source import PosixSource

ZERO: Final = b"/dev/zero"
NULL: Final = b"/dev/null"


class ZeroSource(PosixSource):
    """A file of zeros whose times never change."""

    __slots__ = ()

    def __init__(self, size: int) -> None:
        super().__init__(os.memfd_create("zeros", os.MFD_CLOEXEC), ZERO)
        os.ftruncate(self.descriptor, size)

    def facts(self) -> Facts:
        """Return the size and nothing else: zeros have no history."""
        return Facts(os.fstat(self.descriptor).st_size, 0, 0, 0o644)


class NullVolume:
    """Nothing to sync."""

    __slots__ = ()

    is_shared = True

    def sync(self) -> None:
        """Do nothing."""


class NullPartial(OneAttempt):
    """Takes everything, keeps nothing."""

    __slots__ = ("volume",)

    path = NULL
    promise = ""

    def __init__(self) -> None:
        self.volume = NullVolume()

    def write(self, view: memoryview, offset: int) -> None:
        """Drop it."""

    def accept(self, offset: int, length: int, size: int) -> None:
        """Do nothing."""

    def sync_data(self) -> None:
        """Do nothing."""

    def dress(self, mode: int, mtime_ns: int) -> None:
        """Do nothing."""

    def sync(self) -> None:
        """Do nothing."""

    def publish(self, *, replace: bool) -> None:
        """Do nothing."""

    def sync_name(self) -> None:
        """Do nothing."""

    def check_place(self, seen: dict[object, bool]) -> None:
        """Do nothing."""

    def settle(self) -> None:
        """Do nothing."""

    def retract(self) -> None:
        """Do nothing."""

    def remove(self) -> None:
        """Do nothing."""

    def facts(self) -> Facts:
        """Return that it is empty."""
        return Facts(0, 0, 0, 0)

    def close(self) -> None:
        """Do nothing."""


class NullDestinations:
    """The destination /dev/null, any number of times."""

    def look(self, path: bytes) -> Site:  # noqa: ARG002  # there is only one path
        """Return that there is room for everything."""
        return Site(None, -1, 1 << 62)

    def survey(self, above: bytes, names: Sequence[bytes]) -> Survey | None:  # noqa: ARG002  # there is only one path
        """Return nothing: a look costs nothing."""
        return None

    def open_existing(self, path: bytes) -> Existing:
        """Refuse: `look` never found anything."""
        raise DestinationVanished(f"{os.fsdecode(path)} does not exist")

    def claim(self, path: bytes, mode: int, *, journal: bool) -> NullPartial:  # noqa: ARG002  # there is only one path
        """Return a new sink."""
        return NullPartial()

    def claim_left(self, path: bytes) -> None:
        """Return that nothing is ever left."""

    def bundle(self) -> None:
        """Return none: what is dropped need not be bundled."""

    def close(self) -> None:
        """Do nothing."""
