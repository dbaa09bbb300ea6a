"""Small files: each is written in one go, by the thread that received its batch.

Decides that a file belongs to one thread while it is written: a batch may come a second time, when its stream seemed
dead and its thread is still in the middle of it.

At thirty thousand files a second there are thirty microseconds for one, of which the kernel needs twenty.  So what is
plain goes by a short way: taken, written and noted for the whole batch at once, in a bundle of the storage.  That way
knows no errors: a file with which anything is not as it should be goes by the long way, as if it had just come.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fdtcp.errors import FdtError, Phase, ProtocolViolation, Side
from fdtcp.model.order import DestinationFile, Sync, Verify
from fdtd.mover.batches import Batch, Came, Plain, Taken
from fdtd.mover.commit import Sheaf
from fdtd.mover.frames import Entry
from fdtd.mover.holding import Holding
from fdtd.mover.landing import Landing
from fdtd.mover.receiver import Reply
from fdtd.mover.room import Share
from fdtd.mover.sheaves import Sheaves
from fdtd.mover.streams import StreamBroken

_LOST: Final = "its files were given to other streams: it was at one whose file system seemed to hang"


class Smalls:
    """The batches of a writer's streams.  Methods may be called from any thread."""

    def __init__(self, landing: Landing, stream: int = 0) -> None:
        """`stream`: the number of the one whose batches these are."""
        self._landing = landing
        self._stream = stream
        self._sheaves = Sheaves(landing)
        # A bundle is synced as a whole, replaces nothing, and is not read back.
        policy = landing.policy
        self._has_short_way = (
            policy.sync is not Sync.FILE and not policy.may_replace and policy.verify is not Verify.DISK
        )

    def take(self, entries: Sequence[Entry], contents: memoryview, share: Share | None = None) -> list[Entry]:
        """Write the files of a batch that are wanted; returns those that were damaged and shall come again.

        `share`: the room that was taken for them.

        `contents`: one behind the other, as long as the entries say; what follows is not looked at.
        Raises ProtocolViolation, StreamBroken, before anything was written.
        """
        batch = self._begin(entries, contents, share or Share(0))
        try:
            plain = batch.plain
            while plain and len(left := self._bundle(batch, plain)) < len(plain):
                plain = left  # of another volume, perhaps
            if plain:
                self._take_over(batch, plain)
            if batch.others:
                self._write_others(batch)
        finally:
            refused = self._end(batch)
        return refused

    def _begin(self, entries: Sequence[Entry], contents: memoryview, share: Share) -> Batch:
        """Return what is to be written, by the short way and by the long one; it belongs to this thread.

        All at once or none: two threads with parts of each other's batch would wait for each other.
        """
        landing = self._landing
        arrivals, users = landing.receiver.arrivals, landing.users
        batch = Batch(self._stream, self._give_up, share)
        with landing.lock:
            landing.touch()
            self._wait_for(entries)
            others: dict[int, Came] = {}
            start = 0
            try:
                for entry in entries:
                    file, end = entry[0], start + entry[1]
                    if self._has_short_way and (found := arrivals.take(file, entry[1])) is not None:
                        batch.plain.append((entry, contents[start:end], found))
                    elif file in others or arrivals.is_taken((entry,)):
                        pass  # it stands here twice
                    elif landing.receiver.may_take_small(entry):
                        others[file] = entry, contents[start:end]
                    start = end
            except ProtocolViolation:
                for _, _, found in batch.plain:
                    arrivals.give_back(found)
                raise
            users.update(dict.fromkeys(others, 1))
            batch.others = list(others.values())
            batch.now = arrivals.path(entries[0].file)
            landing.batches.append(batch)
            return batch

    def _wait_for(self, entries: Sequence[Entry]) -> None:
        """Wait until nobody else has these files; call with the lock.  Raises StreamBroken.

        Who is at the same file for all of our patience does not come back from it.
        """
        landing, files = self._landing, {entry.file for entry in entries}
        arrivals, users = landing.receiver.arrivals, landing.users

        def is_free() -> bool:
            return not arrivals.is_taken(entries) and not (users and any(file in users for file in files))

        while not is_free():
            rivals = [(batch, batch.now) for batch in landing.batches if batch.has_any(files)]
            if landing.lock.wait_for(is_free, landing.patience_s):
                return
            if not rivals:
                raise StreamBroken("another stream does not let go of a small file")
            for batch, before in rivals:
                if batch.now == before and not batch.is_lost:
                    landing.give_up(before, landing.patience_s)

    # --- the short way ------------------------------------------------------------------------------------------

    def _bundle(self, batch: Batch, plain: list[Plain]) -> list[Plain]:
        """Write files of one volume into a bundle, and pass them on; returns those that could not go that way."""
        landing = self._landing
        if (bundle := landing.destinations.bundle()) is None:
            return plain
        update, nothing = landing.checksum.update, landing.checksum.start
        write = bundle.write
        left: list[Plain] = []
        files: list[tuple[DestinationFile, int]] = []
        for one in plain:
            (_, _, value, mtime_ns), content, file = one
            batch.now = file.path
            if (
                mtime_ns == file.mtime_ns
                and update(content, nothing) == value
                and write(file.path, file.mode, mtime_ns, content)
            ):
                files.append((file, value))
            else:
                left.append(one)
        sheaf = Sheaf(bundle, dict(enumerate(files)), sum([file.size for file, _ in files]))
        with landing.lock:
            if not batch.is_lost:
                self._sheaves.settle(sheaf)
                return left
        bundle.close()
        raise StreamBroken(_LOST)

    def _take_over(self, batch: Batch, plain: list[Plain]) -> None:
        """Let files go the long way."""
        landing = self._landing
        with landing.lock:
            if batch.is_lost:
                raise StreamBroken(_LOST)
            came = [
                (entry, content)
                for entry, content, _ in plain
                if landing.receiver.may_take_small(entry) and entry.file not in landing.users
            ]
            landing.users.update((entry.file, 1) for entry, _ in came)
            batch.others += came

    # --- the long way -------------------------------------------------------------------------------------------

    def _write_others(self, batch: Batch) -> None:
        landing, checksum = self._landing, self._landing.checksum
        for entry, content in batch.others:
            batch.now = landing.receiver.arrivals[entry.file].file.path
            taken = Taken(entry, None, None)
            if checksum.update(content, checksum.start) == entry.checksum:
                taken = self._write(entry, content)
            with landing.lock:
                if not batch.is_lost:
                    batch.taken.append(taken)
                    continue
            if taken.holding is not None:
                taken.holding.let_go("", may_keep=False)
            raise StreamBroken(_LOST)

    def _write(self, entry: Entry, content: memoryview) -> Taken:
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
            return Taken(entry, holding, exc)
        return Taken(entry, holding, None)

    # --- the end ------------------------------------------------------------------------------------------------

    def _give_up(self, batch: Batch) -> None:
        """Leave to others what a thread has that does not come back; call with the lock."""
        for _, _, file in batch.plain:
            self._landing.receiver.arrivals.give_back(file)
        self._landing.room.take_back(batch.share)
        self._settle(batch)

    def _end(self, batch: Batch) -> list[Entry]:
        """Settle what was written; returns what was damaged."""
        landing = self._landing
        with landing.lock:
            if batch.is_lost:
                return []
            landing.batches.remove(batch)
            return self._settle(batch) if batch.others else []

    def _settle(self, batch: Batch) -> list[Entry]:
        """Settle what went the long way; call with the lock."""
        landing = self._landing
        refused = []
        for entry, holding, error in batch.taken:
            if holding is not None:
                landing.holdings[entry.file] = holding
            if error is not None:
                landing.fail(entry.file, error.problem(Side.DESTINATION, Phase.TRANSFER))
            elif holding is not None:
                landing.receiver.small_written(entry)
            elif landing.receiver.small_damaged(entry) is Reply.NAK:
                refused.append(entry)
        for entry, _ in batch.others:
            del landing.users[entry.file]
        for entry, _, _ in batch.taken:
            landing.follow(entry.file)
        landing.lock.notify_all()
        return refused
