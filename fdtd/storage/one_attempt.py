"""What partials have in common that no later attempt can go on from.

Decides that such a partial keeps no journal, reserves no room, is written without a descriptor that others may use, and
does not give back what it was given: the storage behind it takes bytes in order only, as one upload, or not at all.
"""

from __future__ import annotations

from typing import Final

from fdtcp.model.order import Direct


class OneAttempt:
    """Part of a `fdtd.storage.base.Partial`."""

    __slots__ = ()

    descriptor = -1
    turn: Final = None
    is_resumable = False
    direct_bytes = 0

    def reserve(self, size: int, direct: Direct) -> None:
        """Do nothing: room that was got in advance is no byte in order."""

    def cut(self, size: int) -> None:
        """Do nothing."""

    def drop_cached(self, offset: int, length: int) -> None:
        """Do nothing."""

    def read_back(self, view: memoryview, offset: int) -> int:  # noqa: ARG002  # as `Site.gives_back` says
        """Return that there is nothing to be had."""
        return 0

    def read_journal(self) -> bytes:
        """Return that nothing was kept: bytes of another attempt cannot be gone on from."""
        return b""

    def append_journal(self, data: bytes) -> None:
        """Do nothing: a journal would promise what is not kept."""
