"""What a disk gives back: `--verify=disk`, between "verified" and the commit.

Decides the order: the bytes are synced, dropped from the page cache, and read again; only a file whose every part has
the checksum with which it came goes on to its commit.  There is no second chance: bytes that a disk has changed once
are no transfer's business to write again, and the next attempt starts from nothing.

Two threads, so that a file of a terabyte, which takes an hour, does not hold up all the others.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from fdtcp.errors import Abandoned, DiskMismatch, FdtError, Phase, Side
from fdtcp.model.order import Action
from fdtd.mover.arrival import Arrival
from fdtd.mover.checkpoints import Checkpoints
from fdtd.mover.commit import Item
from fdtd.mover.landing import Landing
from fdtd.mover.log import Log
from fdtd.mover.sums import PIECE_BYTES
from fdtd.storage.base import Partial

# What is read back in a second or two by most disks waits for its like only.
LONG_BYTES: Final = 1 << 30

# So many wait for one sync of their file systems: one for each would let those who send wait for longer than they may.
MANY_FILES: Final = 32


class Rereader:
    """Takes verified files, reads them back, and hands on those that are what they should be."""

    def __init__(self, landing: Landing, hand_on: Callable[[Item, int], None], log: Log) -> None:
        self._landing = landing
        self._checkpoints = Checkpoints(landing)
        self._hand_on = hand_on
        self._log = log
        self._wake = threading.Condition()
        self._stopped = False
        self._lanes: tuple[deque[tuple[Item, int]], ...] = (deque(), deque())
        self._threads = [
            threading.Thread(target=self._run, args=(lane,), name="rereader", daemon=True) for lane in self._lanes
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def add(self, item: Item, size: int) -> None:
        """Take a verified file."""
        with self._wake:
            self._lanes[size >= LONG_BYTES].append((item, size))
            self._wake.notify_all()

    def stop(self, timeout: float) -> list[Item]:
        """Begin no further file; returns those that were not begun."""
        with self._wake:
            self._stopped = True
            items = [item for lane in self._lanes for item, _ in lane]
            for lane in self._lanes:
                lane.clear()
            self._wake.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, timeout / len(self._threads)))
        return items

    def _run(self, lane: deque[tuple[Item, int]]) -> None:
        buffer = memoryview(bytearray(PIECE_BYTES))
        synced = 0  # so many of the next ones
        while True:
            with self._wake:
                while not lane and not self._stopped:
                    self._wake.wait()
                items = [item for item, _ in lane]
            if not synced and len(items) >= MANY_FILES and self._sync(items):
                synced = len(items)
            with self._wake:
                if self._stopped:
                    return
                item, size = lane.popleft()
            try:
                self._check(item, buffer, is_synced=synced > 0)
            except Abandoned as exc:
                self._landing.abandon([item], exc.problem(Side.DESTINATION, Phase.COMMIT))
            except FdtError as exc:
                # It is nobody's any more but ours.
                item.partial.remove()
                self._landing.committed([(item, exc)])
            else:
                self._hand_on(item, size)
            synced = max(0, synced - 1)

    def _sync(self, items: Sequence[Item]) -> bool:
        """Sync many files at once; returns whether that was done.

        A volume that is lost says so again, of each file that is looked at.
        """
        for volume in {id(item.partial.volume): item.partial.volume for item in items}.values():
            try:
                volume.sync()
            except FdtError as exc:
                self._landing.fail_volume(volume, exc)
                return False
        return True

    def _check(self, item: Item, buffer: memoryview, *, is_synced: bool) -> None:
        """Read a file back; `is_synced`: it need not be synced before.

        Raises DiskMismatch, DestinationFull, DestinationFailed, Abandoned.
        """
        landing = self._landing
        with landing.lock:
            arrival = landing.receiver.arrivals[item.file]
            holding = landing.holdings.get(item.file)
        if arrival.action is not Action.SEND or holding is None:
            return  # it was there before, and has been read to compare it
        # A sync that has failed in a checkpoint has said it once, and for all.
        if (lost := self._checkpoints.wait([item]).get(item.file)) is not None:
            raise lost
        partial = holding.partial
        if not is_synced:
            partial.sync_data()
        for offset, length, value in _parts_of(arrival):
            partial.drop_cached(offset, length)
            if self._sum(partial, offset, length, buffer) != value:
                self._log.trouble("disk-mismatch", file=item.file, offset=offset, length=length)
                raise DiskMismatch(
                    f"{os.fsdecode(arrival.file.path)}: what was written from byte {offset} to {offset + length - 1} is"
                    " not what the disk gives back"
                )
            partial.drop_cached(offset, length)

    def _sum(self, partial: Partial, offset: int, length: int, buffer: memoryview) -> int:
        checksum = self._landing.checksum
        value, end = checksum.start, offset + length
        while offset < end:
            if self._stopped:
                raise Abandoned("the transfer was stopped")
            piece = buffer[: min(PIECE_BYTES, end - offset)]
            count = partial.read_back(piece, offset)
            if count == 0:
                break  # it is shorter than it was: another sum
            value = checksum.update(piece[:count], value)
            offset += count
        return value


def _parts_of(arrival: Arrival) -> Iterator[tuple[int, int, int]]:
    """Return offset, length and checksum of the parts that make up a verified file."""
    if not arrival.parts:
        yield 0, arrival.file.size, arrival.value  # of a batch
    for offset in arrival.starts:
        length, value = arrival.parts[offset]
        yield offset, length, value
