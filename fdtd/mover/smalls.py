"""Small files: each is written in one go, by the thread that received its batch.

Decides that a file belongs to one thread while it is written: a batch may come a second time, when its stream seemed
dead and its thread is still in the middle of it.
"""

from __future__ import annotations

import time

from fdtcp.errors import FdtError, Phase, Side
from fdtd.mover.frames import Entry
from fdtd.mover.holding import Holding
from fdtd.mover.landing import Landing
from fdtd.mover.receiver import Reply
from fdtd.mover.streams import StreamBroken


class Smalls:
    """The batches of a writer's streams.  Methods may be called from any thread."""

    def __init__(self, landing: Landing) -> None:
        self._landing = landing

    def begin(self, entry: Entry) -> bool:
        """Whether a file is to be written; then it belongs to this thread until `write` or `damaged`."""
        landing = self._landing
        deadline = time.monotonic() + landing.policy.stall_timeout
        with landing.lock:
            landing.touch()
            while entry.file in landing.users:
                if not landing.lock.wait(max(0.0, deadline - time.monotonic())):
                    raise StreamBroken("another stream does not let go of a small file")
            if landing.receiver.may_take_small(entry):
                landing.users[entry.file] = 1
                return True
            return False

    def write(self, entry: Entry, content: memoryview) -> None:
        """Write a file whose checksum was right."""
        landing = self._landing
        arrival = landing.receiver.arrivals[entry.file]
        holding = None
        try:
            # Never continued, so it may have its mode from the start: a system call less for each file.
            partial = landing.destinations.claim(arrival.file.path, arrival.file.mode, journal=False)
            holding = Holding(arrival.file, partial)
            if content:
                partial.write(content, 0)
        except FdtError as exc:
            with landing.lock:
                if holding is not None:
                    landing.holdings[entry.file] = holding
                landing.fail(entry.file, exc.problem(Side.DESTINATION, Phase.TRANSFER))
                self._end(entry)
            return
        with landing.lock:
            landing.holdings[entry.file] = holding
            landing.receiver.small_written(entry)
            self._end(entry)

    def damaged(self, entry: Entry) -> Reply:
        """Take a file whose checksum was wrong."""
        with self._landing.lock:
            reply = self._landing.receiver.small_damaged(entry)
            self._end(entry)
            return reply

    def _end(self, entry: Entry) -> None:
        del self._landing.users[entry.file]
        self._landing.follow(entry.file)
        self._landing.lock.notify_all()
