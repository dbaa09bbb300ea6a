"""A rate limit over all streams of a job.

Decides by a token bucket: over any second no more than the limit plus one burst leaves.
"""

from __future__ import annotations

import threading
import time
from typing import Final

# A burst is what the limit allows in this time; short enough that a switch buffers it.
_BURST_S: Final = 0.05


class RateLimit:
    """Hands out permission to send bytes; 0 means no limit."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    @property
    def piece(self) -> int:
        """How many bytes to ask for at a time, so that streams take turns; 0: all that there is."""
        return max(1, int(self._rate * _BURST_S)) if self._rate else 0

    def wait(self, count: int) -> None:
        """Wait until `count` bytes may be sent."""
        if not self._rate:
            return
        with self._lock:
            now = time.monotonic()
            begin = max(self._free_at, now - _BURST_S)
            self._free_at = begin + count / self._rate
        if begin > now:
            time.sleep(begin - now)
