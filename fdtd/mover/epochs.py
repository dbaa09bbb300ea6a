"""Epochs of one device: what is verified there is made safe together.

Decides when: an epoch is closed when it is old or large enough, when too many files are open, and at once when nothing
more is under way.  Of files that are synced one by one only a portion is made safe at a time, so that others wait for
no more than that, and users see what is done.

Each device has a thread of its own: where one hangs, the files of the others become safe all the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import field
from functools import partial
from typing import Final

from fdtcp.errors import DestinationHangs, Phase, Problem, Side
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

# Nothing has come for this long: whatever comes next, these files need not wait for it.  Some ten round trips on a LAN.
IDLE_S: Final = 0.02

# Idle moments between blocks are frequent on a slow network: early epochs may take a tenth of the time.
_REST: Final = 9


@dataclass(slots=True)
class Epoch:
    """What is made safe together."""

    items: list[Item] = field(default_factory=list)
    alone: list[Item] = field(default_factory=list)  # those that are synced one by one
    sheaves: list[Sheaf] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    began: float = 0.0  # when its first file came; once it is closed: when that was

    def put_off(self, most: int) -> Epoch:
        """Leave no more than so many of those that are synced one by one, and return the others."""
        rest = Epoch(alone=self.alone[most:], files=max(0, len(self.alone) - most), began=self.began)
        del self.alone[most:]
        self.files -= rest.files
        return rest


class _GivenUp(Exception):
    """The device hung for too long, and answers after all."""


class Epochs:
    """Those of one device: takes verified files, and makes them safe."""

    def __init__(self, sync: Sync, landing: Landing, log: Log, most_items: int, is_last: Callable[[], bool]) -> None:
        """`most_items`: so many close an epoch; `is_last`: whether no file is left to wait for."""
        self._sync = sync
        self._landing = landing
        self._checkpoints = Checkpoints(landing)
        self._sheaves = Sheaves(landing)
        self._log = log
        self._most_items = most_items
        self._is_last = is_last
        self._portions = landing.room.portions
        self._epoch = Epoch()
        self._begun: Epoch | None = None  # what is being made safe
        self._rest_until = 0.0
        self._wake = threading.Condition()
        self._stopped = False
        self._problem: Problem | None = None  # its device hangs
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def add(self, item: Item, size: int) -> None:
        """Take a verified file."""
        with self._wake:
            if self._problem is None:
                (self._epoch.alone if item.is_alone else self._epoch.items).append(item)
                self._grow(1, size)
                return
        self._landing.abandon([item], self._problem)

    def add_sheaf(self, sheaf: Sheaf) -> None:
        """Take verified small files."""
        with self._wake:
            if self._problem is None:
                self._epoch.sheaves.append(sheaf)
                self._grow(len(sheaf.files), sheaf.size)
                return
        self._sheaves.abandon([sheaf], self._problem, close=False)

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

    def stop(self) -> Epoch:
        """Begin no further epoch; returns what none was begun for."""
        with self._wake:
            self._stopped = True
            epoch, self._epoch = self._epoch, Epoch()
            self._wake.notify()
        return epoch

    def join(self, timeout: float) -> None:
        """Wait until what was begun is safe."""
        if self._thread.is_alive():
            self._thread.join(max(0.0, timeout))

    def hangs_at(self, now: float, patience_s: float) -> bytes | None:
        """Return the path of a file that has not become safe for so long; None if all is well."""
        with self._wake:
            if self._begun is None or now - self._begun.began < patience_s:
                return None
            items, sheaves = self._begun.items + self._begun.alone, self._begun.sheaves
        if items:
            return self._landing.receiver.arrivals.path(items[0].file)
        return next(file.path for sheaf in sheaves for file, _ in sheaf.files.values())

    def give_up(self, error: DestinationHangs) -> None:
        """Fail all files: they are on a device that hangs.  Call with the landing's lock."""
        problem = error.problem(Side.DESTINATION, Phase.COMMIT)
        with self._wake:
            epochs = [self._begun or Epoch(), self._epoch]
            self._begun, self._epoch = None, Epoch()
            self._problem, self._stopped = problem, True
            self._wake.notify()
        for epoch in epochs:
            self._landing.abandon(epoch.items + epoch.alone, problem)
            self._sheaves.abandon(epoch.sheaves, problem, close=False)

    def _run(self) -> None:
        landing = self._landing
        while (epoch := self._next()) is not None:
            began = epoch.began
            lost = self._checkpoints.wait(epoch.items + epoch.alone)
            items, check = epoch.items + epoch.alone, partial(self._check, epoch)
            try:
                results = commit(items, self._sync, landing.fail_volume, lost, epoch.sheaves, check)
            except _GivenUp:
                return
            with landing.lock:
                if self._begun is not epoch:
                    return  # it was given up, and its files have failed
                self._begun = None
            landing.committed(results)
            self._sheaves.committed(epoch.sheaves)
            took = time.monotonic() - began
            if epoch.alone:
                self._portions.note(len(epoch.alone), took)
            self._rest_until = began + took + _REST * took
            failed = sum(error is not None for _, error in results)
            failed += sum(sheaf.failed for sheaf in epoch.sheaves)
            self._log.event("commit", files=epoch.files, failed=failed, bytes=epoch.bytes, seconds=f"{took:.3f}")

    def _check(self, epoch: Epoch) -> None:
        """Raise _GivenUp if the files of an epoch have failed: none of them shall be put in place any more."""
        if self._begun is not epoch:
            raise _GivenUp

    def _next(self) -> Epoch | None:
        """Wait for an epoch to be closed; None if there will be none."""
        with self._wake:
            while not self._stopped and not self._is_due():
                self._wake.wait(IDLE_S / 2 if self._epoch.files else None)
            if self._stopped:
                return None
            epoch = self._epoch
            self._epoch = epoch.put_off(self._portions.files)
            self._begun, epoch.began = epoch, time.monotonic()
            return epoch

    def _is_due(self) -> bool:
        epoch = self._epoch
        if not epoch.files:
            return False
        if self._sync is not Sync.BATCH or epoch.bytes >= EPOCH_BYTES or epoch.files >= self._most_items:
            return True
        if len(epoch.alone) >= self._portions.files or self._landing.room.awaited:
            return True
        now = time.monotonic()
        if now - epoch.began >= EPOCH_S or self._is_last():
            return True
        return now >= self._rest_until and self._landing.is_idle(IDLE_S)
