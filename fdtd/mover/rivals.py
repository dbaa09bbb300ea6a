"""The streams of a writer, as they see each other: one is given what another one was sent, and does not answer for.

Decides which of them still come to their end: threads that a file system has kept do not count.

Not thread-safe: `fdtd.mover.landing` holds the lock.
"""

from __future__ import annotations

from typing import Protocol

from fdtd.mover.streams import StreamBroken


class Rival(Protocol):
    """A stream, as another one sees it that was given its block."""

    number: int

    def end(self) -> None:
        """Make its thread go away."""


class Rivals:
    """Authenticated streams, by number."""

    def __init__(self) -> None:
        self._streams: dict[int, Rival] = {}
        self.hung: set[int] = set()  # those whose threads may never come back

    def add(self, stream: Rival) -> None:
        """Take on a stream.  Raises StreamBroken for a number that is taken."""
        if stream.number in self._streams:
            raise StreamBroken(f"there is a stream {stream.number} already")
        self._streams[stream.number] = stream

    def remove(self, stream: Rival) -> None:
        """Note that its thread is about to end."""
        del self._streams[stream.number]
        self.hung.discard(stream.number)

    def end(self, number: int) -> None:
        """Make a thread go away."""
        self._streams[number].end()

    def cut_off(self, number: int) -> None:
        """Make a thread go away that may be kept for ever."""
        if number in self._streams:
            self.hung.add(number)
            self._streams[number].end()

    @property
    def all(self) -> list[Rival]:
        """Those that are open now."""
        return list(self._streams.values())

    @property
    def has_any(self) -> bool:
        """Whether any is open that may come to its end."""
        return len(self._streams) > len(self.hung)
