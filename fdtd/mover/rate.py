"""A rate limit over all streams of a job, which may change while they wait for it.

Decides by a token bucket: over any second no more than the limit plus one burst leaves.  What was handed out and not
yet paid for by time is waited for at whatever rate holds now, so a job that is hastened goes on at once.

The reader keeps to a rate, the writer holds it to that.  The writer's bucket is larger: were both the same, each moment
that the writer comes late would leave a little more in the sockets, until answers take longer than a stream may be
silent.  For the same reason it follows later when a rate is lowered: what is under way was sent at the old one.
"""

from __future__ import annotations

import threading
import time
from typing import Final

# A burst is what the limit allows in this time; short enough that a switch buffers it.
_BURST_S: Final = 0.05

# What a writer forgives: a thread that was not let run for so long catches up.
WRITERS_BURST_S: Final = 1.0

# By then the client has told the reader, which it does within two seconds.
_FOLLOW_S: Final = 3.0


class RateLimit:
    """Hands out permission to move bytes; 0 means no limit.  Methods may be called from any thread."""

    def __init__(self, rate: int, burst_s: float = _BURST_S) -> None:
        self._rate = rate
        self._burst_s = burst_s
        self._later: tuple[float, int] | None = None  # a lower limit, and since when it holds
        self._lock = threading.Condition()  # may be taken again by the thread that has it
        self._taken = 0.0  # bytes that were handed out
        self._paid = 0.0  # bytes that time has paid for, up to `_at`
        self._at = time.monotonic()

    @property
    def piece(self) -> int:
        """How many bytes to ask for at a time, so that streams take turns; 0: all that there is."""
        return max(1, int(self._rate * _BURST_S)) if self._rate else 0

    def piece_of(self, most: int) -> int:
        """Return how many bytes to ask for next if `most` could be moved at once."""
        return min(most, self.piece or most)

    def set(self, rate: int) -> None:
        """Let another limit hold from now on, also for those who wait."""
        with self._lock:
            self._pay(time.monotonic())
            if not self._rate:
                self._taken = self._paid = 0.0
            self._rate = rate
            self._later = None
            self._lock.notify_all()

    def follow(self, rate: int) -> None:
        """Let another limit hold as a writer does: a higher one at once, a lower one after a while."""
        with self._lock:
            if rate and (not self._rate or rate < self._rate):
                self._later = time.monotonic() + _FOLLOW_S, rate
            else:
                self.set(rate)

    def tick(self, now: float) -> None:
        """Do what `follow` has put off."""
        with self._lock:
            if self._later is not None and now >= self._later[0]:
                self.set(self._later[1])

    def wait(self, count: int) -> None:
        """Wait until `count` bytes may be moved."""
        if not self._rate:
            return
        with self._lock:
            self._pay(time.monotonic())
            begin = self._taken
            self._taken += count
            while self._rate and (lack := begin - self._paid) > 0:
                self._lock.wait(lack / self._rate)
                self._pay(time.monotonic())

    def _pay(self, now: float) -> None:
        """Count the time that has passed; who was idle has no more credit than a burst."""
        self._paid = min(self._paid + (now - self._at) * self._rate, self._taken + self._rate * self._burst_s)
        self._at = now
