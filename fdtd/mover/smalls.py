"""Small files: each is written in one go, by the thread that received its batch.

Decides that a file belongs to one thread while it is written: a batch may come a second time, when its stream seemed
dead and its thread is still in the middle of it.

At thirty thousand files a second there are thirty microseconds for one, of which the kernel needs twenty.  So what is
plain goes by a short way: taken, written and noted for the whole batch at once, in a bundle of the storage.  That way
knows no errors: a file with which anything is not as it should be goes by the long way, as if it had just come.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from fdtcp.errors import FdtError, Phase, ProtocolViolation, Side
from fdtcp.model.order import DestinationFile, Sync, Verify
from fdtd.mover.commit import Sheaf
from fdtd.mover.frames import Entry
from fdtd.mover.holding import Holding
from fdtd.mover.landing import Landing
from fdtd.mover.receiver import Reply
from fdtd.mover.sheaves import Sheaves
from fdtd.mover.streams import StreamBroken

# What came of a file, and what is known of it if it is plain.
_Came = tuple[Entry, memoryview]
_Plain = tuple[Entry, memoryview, DestinationFile]


class _Taken(NamedTuple):
    """What became of one file: it is open, or it failed here (or both), or neither: it was damaged on the way."""

    entry: Entry
    holding: Holding | None
    error: FdtError | None


class Smalls:
    """The batches of a writer's streams.  Methods may be called from any thread."""

    def __init__(self, landing: Landing) -> None:
        self._landing = landing
        self._sheaves = Sheaves(landing)
        # A bundle is synced as a whole, replaces nothing, and is not read back.
        policy = landing.policy
        self._has_short_way = (
            policy.sync is not Sync.FILE and not policy.may_replace and policy.verify is not Verify.DISK
        )

    def take(self, entries: Sequence[Entry], contents: memoryview) -> list[Entry]:
        """Write the files of a batch that are wanted; returns those that were damaged and shall come again.

        `contents`: one behind the other, as long as the entries say; what follows is not looked at.
        Raises ProtocolViolation, StreamBroken, before anything was written.
        """
        plain, others = self._begin(entries, contents)
        while plain and len(left := self._bundle(plain)) < len(plain):
            plain = left  # of another volume, perhaps
        if plain:
            others += self._take_over(plain)
        return self._write_others(others) if others else []

    def _begin(self, entries: Sequence[Entry], contents: memoryview) -> tuple[list[_Plain], list[_Came]]:
        """Return what is to be written by the short way, and by the long one; it belongs to this thread.

        All at once or none: two threads with parts of each other's batch would wait for each other.
        """
        landing = self._landing
        arrivals, users = landing.receiver.arrivals, landing.users
        deadline = time.monotonic() + landing.policy.stall_timeout
        with landing.lock:
            landing.touch()
            while arrivals.is_taken(entries) or (users and any(entry.file in users for entry in entries)):
                if not landing.lock.wait(max(0.0, deadline - time.monotonic())):
                    landing.note_hang(entries[0].file)
                    raise StreamBroken("another stream does not let go of a small file")
            plain: list[_Plain] = []
            others: dict[int, _Came] = {}
            start = 0
            try:
                for entry in entries:
                    file, end = entry[0], start + entry[1]
                    if self._has_short_way and (found := arrivals.take(file, entry[1])) is not None:
                        plain.append((entry, contents[start:end], found))
                    elif file in others or arrivals.is_taken((entry,)):
                        pass  # it stands here twice
                    elif landing.receiver.may_take_small(entry):
                        others[file] = entry, contents[start:end]
                    start = end
            except ProtocolViolation:
                for _, _, found in plain:
                    arrivals.give_back(found)
                raise
            users.update(dict.fromkeys(others, 1))
            return plain, list(others.values())

    # --- the short way ------------------------------------------------------------------------------------------

    def _bundle(self, plain: list[_Plain]) -> list[_Plain]:
        """Write files of one volume into a bundle, and pass them on; returns those that could not go that way."""
        landing = self._landing
        if (bundle := landing.destinations.bundle()) is None:
            return plain
        update, nothing = landing.checksum.update, landing.checksum.start
        write = bundle.write
        left: list[_Plain] = []
        files: list[tuple[DestinationFile, int]] = []
        for one in plain:
            (_, _, value, mtime_ns), content, file = one
            if (
                mtime_ns == file.mtime_ns
                and update(content, nothing) == value
                and write(file.path, file.mode, mtime_ns, content)
            ):
                files.append((file, value))
            else:
                left.append(one)
        sheaf = Sheaf(bundle, dict(enumerate(files)), sum([file.size for file, _ in files]))
        self._sheaves.settle(sheaf)
        return left

    def _take_over(self, plain: list[_Plain]) -> list[_Came]:
        """Let files go the long way."""
        landing = self._landing
        with landing.lock:
            came = [
                (entry, content)
                for entry, content, _ in plain
                if landing.receiver.may_take_small(entry) and entry.file not in landing.users
            ]
            landing.users.update((entry.file, 1) for entry, _ in came)
            return came

    # --- the long way -------------------------------------------------------------------------------------------

    def _write_others(self, files: list[_Came]) -> list[Entry]:
        taken: list[_Taken] = []
        checksum = self._landing.checksum
        try:
            for entry, content in files:
                if checksum.update(content, checksum.start) == entry.checksum:
                    taken.append(self._write(entry, content))
                else:
                    taken.append(_Taken(entry, None, None))
        finally:
            refused = self._end([entry.file for entry, _ in files], taken)
        return refused

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

    def _end(self, files: list[int], taken: list[_Taken]) -> list[Entry]:
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
            for file in files:
                del landing.users[file]
            for entry, _, _ in taken:
                landing.follow(entry.file)
            landing.lock.notify_all()
        return refused
