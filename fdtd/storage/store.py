"""What a storage that is no file system has to offer: a few calls by key, told in OSErrors.

Decides the interface below `stored_source` and `stored_destination`; they decide what its errors mean to a user and
how it fits the mover.  A key is the path below the mapped prefix, as text.  All calls have deadlines of their own and
may be made from several threads, those of one Upload from one thread at a time.
"""

from __future__ import annotations

import os
from typing import Protocol

from fdtcp.errors import PathRefused
from fdtcp.value import dataclass
from fdtd.storage.mapping import PrefixMap


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store says of a file; `tag` changes whenever the content does, as far as the store knows."""

    size: int
    mtime_ns: int
    tag: str


class Upload(Protocol):
    """A file on its way into the store, invisible under its own name until it is published."""

    promise: str  # what "safe" means after `publish`

    def append(self, piece: bytes) -> None:
        """Take the next bytes."""

    def finish(self) -> None:
        """Take no more: all bytes are with the store, or ready to go with `publish`."""

    def publish(self, *, replace: bool) -> None:
        """Put it in place; afterwards the store has it for good.  Raises FileExistsError."""

    def discard(self) -> None:
        """Remove what is there of it; never raises."""


class Store(Protocol):
    """One back end as configured."""

    def find(self, key: str) -> Stored | None:
        """Look at a file.  Raises IsADirectoryError, PermissionError, OSError."""

    def read(self, key: str, offset: int, length: int, tag: str) -> bytes:
        """Read, less only at the end; a store that can refuses when `tag` is not the file's any more (ESTALE)."""

    def upload(self, key: str) -> Upload:
        """Begin a file; nothing is sent yet."""

    def remove(self, key: str) -> None:
        """Remove a file."""

    def close(self) -> None:
        """Let go of connections."""


def key_of(path: bytes, mapped: PrefixMap) -> str:
    """Return the key of a mapped path.  Raises PathRefused for a name that is not text, or that URLs are made of."""
    place = mapped.find(path)
    assert place is not None, "only mapped paths come here"
    try:
        key = b"/".join(place.rest).decode()
    except UnicodeDecodeError:
        raise PathRefused(f"{os.fsdecode(path)!r}: names in this storage are UTF-8") from None
    if "::" in key or ":/" in key:
        raise PathRefused(f"{key!r}: a name in this storage has neither :: nor :/ in it")
    return key
