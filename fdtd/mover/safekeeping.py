"""What makes things safe beside the streams: the epochs of each device, and the thread that writes journals.

Decides in whose epochs a file is made safe: those of its device.  Journals are written often enough that a crash loses
seconds of work, and seldom enough that a file that finishes quickly never has one.
"""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable
from typing import Final

from fdtcp.model.order import Sync
from fdtd.mover.checkpoints import Checkpoints
from fdtd.mover.commit import Item, Sheaf
from fdtd.mover.epochs import Epoch, Epochs
from fdtd.mover.landing import Landing
from fdtd.mover.log import Log

# Renaming and forgetting so many takes a fraction of a second.
MOST_ITEMS: Final = 4096

# A 2 GiB file takes about a second from page cache to page cache: it shall not pay for a journal.  After that, what a
# crash can cost is this much time.
FIRST_CHECKPOINT_S: Final = 1.0
CHECKPOINT_S: Final = 3.0

_TICK_S: Final = 0.25


class Committer:
    """Takes verified files, makes them safe in epochs, those of each device by themselves."""

    def __init__(self, sync: Sync, landing: Landing, log: Log) -> None:
        self._sync = sync
        self._landing = landing
        self._log = log
        self._lock = threading.Lock()
        self._by_device: dict[int | None, Epochs] = {}
        self._is_started = False
        self._is_stopped = False
        # Each waiting file holds a descriptor (its lock): an epoch, what comes while it is synced, and everything else.
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most_items = max(64, min(MOST_ITEMS, limit // 4))
        landing.room.epoch_files, landing.room.most_open = self._most_items, min(4 * MOST_ITEMS, limit * 3 // 4)
        self.is_last: Callable[[], bool] = lambda: False  # whether no file is left to wait for
        landing.on_verified = self.add
        landing.on_sheaf = self.add_sheaf

    def start(self) -> None:
        """Begin."""
        with self._lock:
            self._is_started = True
            for epochs in self._by_device.values():
                epochs.start()

    def add(self, item: Item, size: int) -> None:
        """Take a verified file."""
        self._epochs_of(self._landing.receiver.arrivals[item.file].file.path).add(item, size)

    def add_sheaf(self, sheaf: Sheaf) -> None:
        """Take verified small files."""
        file, _ = next(iter(sheaf.files.values()))
        self._epochs_of(file.path).add_sheaf(sheaf)

    def nudge(self) -> None:
        """Look again whether epochs can be closed."""
        for epochs in self._all:
            epochs.nudge()

    def stop(self, timeout: float) -> Epoch:
        """Begin no further epoch; returns what none was begun for."""
        deadline = time.monotonic() + timeout
        with self._lock:
            self._is_stopped = True
        never_begun = Epoch()
        for epochs in self._all:
            epoch = epochs.stop()
            never_begun.items += epoch.items
            never_begun.alone += epoch.alone
            never_begun.sheaves += epoch.sheaves
        for epochs in self._all:
            epochs.join(deadline - time.monotonic())
        return never_begun

    def hangs_at(self, now: float, patience_s: float) -> list[bytes]:
        """Return paths of files that have not become safe for so long, one for each device."""
        return [path for epochs in self._all if (path := epochs.hangs_at(now, patience_s)) is not None]

    def give_up(self) -> None:
        """Fail the files of devices that hang; call with the landing's lock."""
        for device in self._landing.hangs.devices:
            with self._lock:
                epochs = self._by_device.get(device)
            if epochs is not None:
                epochs.give_up(self._landing.hangs.devices[device])

    def _is_last(self) -> bool:
        return self.is_last()

    @property
    def _all(self) -> list[Epochs]:
        with self._lock:
            return list(self._by_device.values())

    def _epochs_of(self, path: bytes) -> Epochs:
        device = self._landing.hangs.device_of(path)
        with self._lock:
            if (epochs := self._by_device.get(device)) is None:
                epochs = Epochs(self._sync, self._landing, self._log, self._most_items, self._is_last)
                self._by_device[device] = epochs
                if self._is_stopped:
                    epochs.stop()
                elif self._is_started:
                    epochs.start()
            return epochs


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
