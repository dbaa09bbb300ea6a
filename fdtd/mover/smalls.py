"""Small files: each is written in one go, by the thread that received its batch.

Decides that a file belongs to one thread while it is written: a batch may come a second time, when its stream seemed
dead and its thread is still in the middle of it.  What has to be noted is noted once for the whole batch: at sixteen
thousand files a second, taking a lock for each is a good part of the work.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from fdtcp.errors import FdtError, Phase, Side
from fdtd.mover.frames import Entry
from fdtd.mover.holding import Holding
from fdtd.mover.landing import Landing
from fdtd.mover.receiver import Reply
from fdtd.mover.streams import StreamBroken


class _Taken(NamedTuple):
    """What became of one file: it is open, or it failed here (or both), or neither: it was damaged on the way."""

    entry: Entry
    holding: Holding | None
    error: FdtError | None


class Smalls:
    """The batches of a writer's streams.  Methods may be called from any thread."""

    def __init__(self, landing: Landing) -> None:
        self._landing = landing

    def take(self, files: Sequence[tuple[Entry, memoryview]]) -> list[Entry]:
        """Write the files of a batch that are wanted; returns those that were damaged and shall come again.

        Raises ProtocolViolation, StreamBroken, before anything was written.
        """
        wanted = self._begin([entry for entry, _ in files])
        taken: list[_Taken] = []
        left = set(wanted)
        checksum = self._landing.checksum
        try:
            for entry, content in files:
                if entry.file not in left:
                    continue
                left.discard(entry.file)
                if checksum.update(content, checksum.start) == entry.checksum:
                    taken.append(self._write(entry, content))
                else:
                    taken.append(_Taken(entry, None, None))
        finally:
            refused = self._end(wanted, taken)
        return refused

    def _begin(self, entries: list[Entry]) -> set[int]:
        """Return the files that are to be written; they belong to this thread until `_end`.

        All at once or none: two threads with parts of each other's batch would wait for each other.
        """
        landing = self._landing
        deadline = time.monotonic() + landing.policy.stall_timeout
        with landing.lock:
            landing.touch()
            users = landing.users
            while any(entry.file in users for entry in entries):
                if not landing.lock.wait(max(0.0, deadline - time.monotonic())):
                    raise StreamBroken("another stream does not let go of a small file")
            may_take = landing.receiver.may_take_small
            wanted = {entry.file for entry in entries if may_take(entry)}
            users.update(dict.fromkeys(wanted, 1))
            return wanted

    def _write(self, entry: Entry, content: memoryview) -> _Taken:
        """Write a file whose checksum was right."""
        landing = self._landing
        file = landing.receiver.arrivals[entry.file].file
        holding = None
        try:
            # Never continued, so it may have its mode from the start: a system call less for each file.
            holding = Holding(file, landing.destinations.claim(file.path, file.mode, journal=False))
            if content:
                holding.partial.write(content, 0)
                holding.partial.accept(0, len(content), len(content))
        except FdtError as exc:
            return _Taken(entry, holding, exc)
        return _Taken(entry, holding, None)

    def _end(self, wanted: set[int], taken: list[_Taken]) -> list[Entry]:
        landing = self._landing
        refused = []
        with landing.lock:
            for entry, holding, error in taken:
                if holding is not None:
                    landing.holdings[entry.file] = holding
                if error is not None:
                    landing.fail(entry.file, error.problem(Side.DESTINATION, Phase.TRANSFER))
                elif holding is not None:
                    landing.receiver.small_written(entry)
                elif landing.receiver.small_damaged(entry) is Reply.NAK:
                    refused.append(entry)
            for file in wanted:
                del landing.users[file]
            for entry, _, _ in taken:
                landing.follow(entry.file)
            landing.lock.notify_all()
        return refused
