"""The streams of one side of a job: those that run, and what those that ended have carried.

Decides how many there may be, that their numbers differ, and what is told of them.  Who connected makes no difference.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

from fdtcp.model.order import StreamProgress
from fdtd.mover.distance import Path
from fdtd.mover.streams import Ending, StreamBroken, Wire, path_of

# Of a day on a bad network there are thousands that broke: so many are told of.
ENDED_TOLD: Final = 64


class Stream(Protocol):
    """One authenticated stream; runs in the thread that made it."""

    number: int
    moved: int
    has_carried: bool  # whether anything has come through

    def run(self) -> Ending:
        """Work until the stream ends; returns how it did."""
        ...

    def end(self) -> None:
        """Make the thread go away; may be called from any thread."""
        ...

    def progress(self) -> StreamProgress:
        """Return what this stream has carried."""
        ...


S = TypeVar("S", bound=Stream)


class Roster(Generic[S]):
    """All streams of one side.  Methods may be called from any thread."""

    def __init__(self, make: Callable[[Wire, int], S], most: int, on_leave: Callable[[], None]) -> None:
        """`make` turns an authenticated connection into the stream of that number."""
        self._make = make
        self.entered = 0  # streams, ever
        self.round_trip_s: float | None = None  # of the path that was seen first
        self._most = most
        self._on_leave = on_leave
        self.width = 1  # the most that there were at a time
        self._streams: dict[S, socket.socket] = {}
        self._hung: set[S] = set()
        self._ended: deque[StreamProgress] = deque(maxlen=ENDED_TOLD)
        self._moved_by_ended = 0
        self._lock = threading.Lock()

    def carry(self, wire: Wire, number: int, raw: socket.socket) -> Ending:
        """Let an authenticated connection carry what it can; `raw` is its socket.  Returns how it ended.

        Raises StreamBroken for one stream too many, or a number that is taken.
        """
        stream = self._make(wire, number)
        self.enter(stream, raw)
        try:
            return stream.run()
        finally:
            self.leave(stream)

    def enter(self, stream: S, raw: socket.socket) -> None:
        """Put a stream on the list.  Raises StreamBroken."""
        with self._lock:
            if len(self._streams) >= self._most:
                raise StreamBroken(f"there are {len(self._streams)} streams already")
            if any(stream.number == other.number for other in self._streams):
                raise StreamBroken(f"there is a stream {stream.number} already")
            self._streams[stream] = raw
            self.width = max(self.width, len(self._streams))
            self.entered += 1

    def leave(self, stream: S) -> None:
        """Forget a stream and its buffers; what it has carried counts on."""
        with self._lock:
            self._hung.discard(stream)
            self._forget(stream)
        self._on_leave()

    def give_up(self, stream: S) -> None:
        """Forget a stream whose thread hangs, and may do so for ever."""
        with self._lock:
            if self._forget(stream):
                self._hung.add(stream)

    @property
    def hung(self) -> int:
        """How many threads hang now."""
        return len(self._hung)

    def _forget(self, stream: S) -> bool:
        if self._streams.pop(stream, None) is None:
            return False
        self._ended.append(stream.progress())
        self._moved_by_ended += stream.moved
        return True

    def note_path(self, path: Path) -> None:
        """Take the first look at the way to the other host."""
        if self.round_trip_s is None:
            self.round_trip_s = path.round_trip_s

    @property
    def streams(self) -> list[S]:
        """Those that run now."""
        with self._lock:
            return list(self._streams)

    def paths(self) -> list[Path]:
        """Return what the kernel knows of their ways."""
        with self._lock:
            sockets = list(self._streams.values())
        found = []
        for raw in sockets:
            try:
                found.append(path_of(raw))
            except OSError:
                pass  # it has been closed by now
        return found

    def progress(self) -> tuple[int, tuple[StreamProgress, ...]]:
        """Return what all streams have carried, and each of those that run or have ended last."""
        with self._lock:
            moved = self._moved_by_ended + sum(stream.moved for stream in self._streams)
            return moved, (*self._ended, *(stream.progress() for stream in self._streams))

    def end_all(self) -> None:
        """Make all streams go away."""
        for stream in self.streams:
            stream.end()


class Solitude:
    """Tells for how long no stream has been there though one is wanted."""

    def __init__(self, roster: Roster[Any]) -> None:  # Any: whatever the streams do
        self._roster = roster
        self._since: float | None = None
        self._seen = 0  # streams that had come when we last looked

    def seconds(self, now: float, *, is_wanted: bool) -> float:
        """Return it; to be asked often."""
        entered = self._roster.entered
        if self._roster.streams or not is_wanted or entered > self._seen:
            # A stream that came and broke between two looks was there all the same: the peer has not given up.
            self._seen, self._since = entered, None
            return 0.0
        if self._since is None:
            self._since = now
        return now - self._since
