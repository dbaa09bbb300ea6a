"""What a stream's thread is waiting for from a source, as its reader sees it.

Decides whose a stream is when its thread comes back from a file system that had hung: a thread in the kernel cannot be
taken back, so its reader gives it up, and from then on nothing of the stream is the thread's any more.  Both sides
decide under one lock, so that what the stream was not answered for is handed on exactly once.
"""

from __future__ import annotations

import threading
import time

from fdtd.mover.streams import StreamBroken


class Asking:
    """Since when a thread has been waiting for which file; asked by another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: tuple[float, int] | None = None
        self._is_given_up = False

    def ask(self, file: int) -> None:
        """Note that the storage is asked for something of `file`."""
        self._asked = time.monotonic(), file

    def stop(self) -> bool:
        """Note that nothing is asked any more; False if the stream was given up meanwhile."""
        with self._lock:
            self._asked = None
            return not self._is_given_up

    def answered(self) -> None:
        """Note that the storage has answered.  Raises StreamBroken if the stream was given up meanwhile."""
        if not self.stop():
            raise StreamBroken("it was given up while its source hung")

    def give_up(self, before: float) -> int | None:
        """Give the stream up if its thread has been waiting since `before` (monotonic); return for which file."""
        if (asked := self._asked) is None or asked[0] > before:
            return None
        with self._lock:
            if self._asked is not asked or self._is_given_up:
                return None
            self._is_given_up = True
            return asked[1]
