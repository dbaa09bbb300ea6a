"""What is open for the files of a writer, and in whose hands.

Decides who opens a file and who closes it: the first thread that needs it, while others that need it wait; and, once
it has failed, the last one that uses it.  Both are system calls of a file system that may hang, so neither happens
under the landing's lock; who waits for another thread's has a deadline.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from fdtcp.errors import DestinationExists, FdtError
from fdtcp.model.order import DestinationFile, KeptPartial, Policy
from fdtd.mover.holding import Holding
from fdtd.mover.latch import Latch
from fdtd.mover.log import Log
from fdtd.storage.base import Destinations, Existing

# Partials that a later attempt may change belong to the account alone until they are complete.
_PARTIAL_MODE: Final = 0o600


class Custody:
    """The open files of a writer; what is not said to be called with the lock is called without it."""

    def __init__(self, lock: Latch, policy: Policy, destinations: Destinations, patience_s: float, log: Log) -> None:
        """`patience_s`: so long a thread waits for another one that opens the same file."""
        self._lock = lock
        self._patience_s = patience_s
        self._policy = policy
        self._destinations = destinations
        self._log = log
        self.holdings: dict[int, Holding] = {}
        self.existing: dict[int, Existing] = {}
        self.users: dict[int, int] = {}  # file: threads that use what is open for it, outside of a block
        self.kept: list[KeptPartial] = []
        self._opening: set[int] = set()
        self.on_hang: Callable[
            [int], FdtError
        ]  # told with the lock of a file that another thread does not come back from

    def ready(self, file: int) -> Holding | None:
        """Return what is open for a file and has its room; call with the lock."""
        holding = self.holdings.get(file)
        return holding if holding is not None and holding.is_reserved and file not in self._opening else None

    def open_partial(self, file: DestinationFile) -> Holding:
        """Return what is open for a file of which the caller owns a block.  Raises FdtError."""
        with self._only_one(file.index):
            if (holding := self.holdings.get(file.index)) is None:
                holding = Holding(file, self._destinations.claim(file.path, _PARTIAL_MODE, journal=True))
                with self._lock:
                    self.holdings[file.index] = holding
            if word := holding.reserve(self._policy.direct):
                self._log.event(word, file=file.index)
            return holding

    def open_existing(self, file: DestinationFile) -> Existing:
        """Return what exists, open, to one of its users.  Raises FdtError."""
        with self._only_one(file.index):
            if (existing := self.existing.get(file.index)) is None:
                existing = self._destinations.open_existing(file.path)
                with self._lock:
                    self.existing[file.index] = existing
                # It may have grown since pre-flight: only as many bytes as the source has would be compared.
                if (size := existing.facts().size) != file.size:
                    raise DestinationExists(
                        f"{os.fsdecode(file.path)} exists with {size} bytes, the source has {file.size}"
                    )
            return existing

    def use(self, file: int) -> None:
        """Note that the caller uses what is open for a file; call with the lock."""
        self.users[file] = self.users.get(file, 0) + 1

    def unuse(self, file: int) -> None:
        """Note that it does so no more; call with the lock, and look whether the file is final."""
        self.users[file] -= 1
        if not self.users[file]:
            del self.users[file]

    def let_go(self, file: int, code: str, *, may_keep: bool) -> None:
        """Close what is open for a file that has failed with `code`, and that nobody uses; call with the lock."""
        if (existing := self.existing.pop(file, None)) is not None:
            self._lock.behind(existing.close)
        holding = self.holdings.get(file)
        if holding is None or not holding.busy.acquire(blocking=False):
            return  # whoever holds it calls again
        self._lock.behind(lambda: self._close(file, holding, code, may_keep=may_keep))

    def _close(self, file: int, holding: Holding, code: str, *, may_keep: bool) -> None:
        kept = holding.let_go(code, may_keep=may_keep)
        with self._lock:
            del self.holdings[file]
            holding.busy.release()  # who waits for it finds that it is not here any more
            if kept is not None:
                self.kept.append(kept)
            self._lock.notify_all()

    @contextmanager
    def _only_one(self, file: int) -> Iterator[None]:
        """Let one thread at a time open a file."""
        deadline = time.monotonic() + self._patience_s
        with self._lock:
            while file in self._opening:
                if not self._lock.wait(max(0.0, deadline - time.monotonic())):
                    raise self.on_hang(file)
            self._opening.add(file)
        try:
            yield
        finally:
            with self._lock:
                self._opening.discard(file)
                self._lock.notify_all()
