"""The two threads that make things safe: the committer, and the one that writes journals.

Decides when: an epoch is closed when it is old or large enough, when too many files are open, and at once when nothing
more is under way.  Of files that are synced one by one only a portion is made safe at a time, so that others wait for
no more than that, and users see what is done.  Journals are written often enough that a crash loses seconds of work,
and seldom enough that a file that finishes quickly never has one.
"""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable
from dataclasses import field
from typing import Final

from fdtcp.model.order import Sync
from fdtcp.value import dataclass
from fdtd.mover.checkpoints import Checkpoints
from fdtd.mover.commit import Item, Sheaf, commit
from fdtd.mover.landing import Landing
from fdtd.mover.log import Log
from fdtd.mover.sheaves import Sheaves

# An outcome waits for its epoch: this long is what a user bears to see "0 done" for (WIRE.md).
EPOCH_S: Final = 10.0

# What is waiting for one sync is what one failed sync takes away (WIRE.md).
EPOCH_BYTES: Final = 8 << 30

# Renaming and forgetting so many takes a fraction of a second.
MOST_ITEMS: Final = 4096

# Nothing has come for this long: whatever comes next, these files need not wait for it.  Some ten round trips on a LAN.
IDLE_S: Final = 0.02

# Idle moments between blocks are frequent on a slow network: early epochs may take a tenth of the time.
_REST: Final = 9

# A 2 GiB file takes about a second from page cache to page cache: it shall not pay for a journal.  After that, what a
# crash can cost is this much time.
FIRST_CHECKPOINT_S: Final = 1.0
CHECKPOINT_S: Final = 3.0

_TICK_S: Final = 0.25


@dataclass(slots=True)
class Epoch:
    """What is made safe together."""

    items: list[Item] = field(default_factory=list)
    alone: list[Item] = field(default_factory=list)  # those that are synced one by one
    sheaves: list[Sheaf] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    began: float = 0.0

    def put_off(self, most: int) -> Epoch:
        """Leave no more than so many of those that are synced one by one, and return the others."""
        rest = Epoch(alone=self.alone[most:], files=max(0, len(self.alone) - most), began=self.began)
        del self.alone[most:]
        self.files -= rest.files
        return rest


class Committer:
    """Takes verified files, makes them safe in epochs."""

    def __init__(self, sync: Sync, landing: Landing, log: Log) -> None:
        self._sync = sync
        self._landing = landing
        self._checkpoints = Checkpoints(landing)
        self._sheaves = Sheaves(landing)
        self._log = log
        self._epoch = Epoch()
        self._rest_until = 0.0
        self._wake = threading.Condition()
        self._stopped = False
        # Each waiting file holds a descriptor (its lock): an epoch, what comes while it is synced, and everything else.
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most_items = max(64, min(MOST_ITEMS, limit // 4))
        landing.room.epoch_files, landing.room.most_open = self._most_items, min(4 * MOST_ITEMS, limit * 3 // 4)
        self._portions = landing.room.portions
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self.is_last: Callable[[], bool] = lambda: False  # whether no file is left to wait for
        landing.on_verified = self.add
        landing.on_sheaf = self.add_sheaf

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def add(self, item: Item, size: int) -> None:
        """Take a verified file."""
        with self._wake:
            (self._epoch.alone if item.is_alone else self._epoch.items).append(item)
            self._grow(1, size)

    def add_sheaf(self, sheaf: Sheaf) -> None:
        """Take verified small files."""
        with self._wake:
            self._epoch.sheaves.append(sheaf)
            self._grow(len(sheaf.files), sheaf.size)

    def _grow(self, files: int, size: int) -> None:
        epoch = self._epoch
        if not epoch.files:
            epoch.began = time.monotonic()
            self._wake.notify()
        epoch.files += files
        epoch.bytes += size
        if epoch.files >= self._most_items or len(epoch.alone) >= self._portions.files:
            self._wake.notify()

    def nudge(self) -> None:
        """Look again whether the epoch can be closed."""
        with self._wake:
            self._wake.notify()

    def stop(self, timeout: float) -> Epoch:
        """Begin no further epoch; returns what none was begun for."""
        with self._wake:
            self._stopped = True
            epoch, self._epoch = self._epoch, Epoch()
            self._wake.notify()
        self._thread.join(max(0.0, timeout))
        return epoch

    def _run(self) -> None:
        landing = self._landing
        while True:
            with self._wake:
                while not self._stopped and not self._is_due():
                    self._wake.wait(IDLE_S / 2 if self._epoch.files else None)
                if self._stopped:
                    return
                epoch = self._epoch
                self._epoch = epoch.put_off(self._portions.files)
            began = time.monotonic()
            items = epoch.items + epoch.alone
            lost = self._checkpoints.wait(items)
            results = commit(items, self._sync, landing.fail_volume, landing.turn, lost, epoch.sheaves)
            with landing.turn:
                landing.committed(results)
                self._sheaves.committed(epoch.sheaves)
            took = time.monotonic() - began
            if epoch.alone:
                self._portions.note(len(epoch.alone), took)
            self._rest_until = began + took + _REST * took
            failed = sum(error is not None for _, error in results)
            failed += sum(sheaf.failed for sheaf in epoch.sheaves)
            self._log.event("commit", files=epoch.files, failed=failed, bytes=epoch.bytes, seconds=f"{took:.3f}")

    def _is_due(self) -> bool:
        epoch = self._epoch
        if not epoch.files:
            return False
        if self._sync is not Sync.BATCH or epoch.bytes >= EPOCH_BYTES or epoch.files >= self._most_items:
            return True
        if len(epoch.alone) >= self._portions.files or self._landing.room.awaited:
            return True
        now = time.monotonic()
        if now - epoch.began >= EPOCH_S or self.is_last():
            return True
        return now >= self._rest_until and self._landing.is_idle(IDLE_S)


class Keeper:
    """Writes journals in the background."""

    def __init__(self, landing: Landing) -> None:
        self._checkpoints = Checkpoints(landing)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Begin no further checkpoint."""
        self._stopped.set()
        self._thread.join(max(0.0, timeout))

    def flush(self, deadline: float) -> None:
        """Make all verified parts safe, as far as that is done by `deadline` (monotonic)."""
        for file in self._checkpoints.due(0.0, 0.0):
            if time.monotonic() >= deadline:
                return
            self._checkpoints.make(file)

    def _run(self) -> None:
        while not self._stopped.wait(_TICK_S):
            for file in self._checkpoints.due(FIRST_CHECKPOINT_S, CHECKPOINT_S):
                if self._stopped.is_set():
                    return
                self._checkpoints.make(file)
