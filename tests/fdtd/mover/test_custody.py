"""Who opens and closes the files of a writer, and who waits for it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fdtcp.errors import DestinationExists, DestinationHangs, FdtError
from fdtcp.model.order import DestinationFile, Policy
from fdtd.mover.custody import Custody
from fdtd.mover.latch import Latch
from fdtd.mover.log import Log
from fdtd.storage.base import Existing, Partial
from fdtd.storage.choose import ChosenDestinations
from fdtd.storage.paths import Prefixes


@dataclass
class Slow(ChosenDestinations):
    """Destinations that wait until they are let go on."""

    prefixes: Prefixes
    entered: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    calls: int = 0

    def __post_init__(self) -> None:
        super().__init__(self.prefixes)

    def claim(self, path: bytes, mode: int, *, journal: bool) -> Partial:
        self._hang()
        return super().claim(path, mode, journal=journal)

    def open_existing(self, path: bytes) -> Existing:
        self._hang()
        return super().open_existing(path)

    def _hang(self) -> None:
        self.calls += 1
        self.entered.set()
        assert self.go_on.wait(30)


@dataclass
class Desk:
    custody: Custody
    lock: Latch
    slow: Slow
    hung: list[int] = field(default_factory=list)

    def on_hang(self, file: int) -> FdtError:
        self.hung.append(file)
        return DestinationHangs("x")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        slow, lock = Slow(prefixes), Latch()
        made = Desk(Custody(lock, Policy(), slow, 0.2, Log()), lock, slow)
        made.custody.on_hang = made.on_hang
        yield made
        slow.close()


def file_at(path: Path, size: int = 10) -> DestinationFile:
    return DestinationFile(0, os.fsencode(path), size, 5, 0o644, b"s")


def in_thread(act: object, *values: object) -> threading.Thread:
    assert callable(act)
    thread = threading.Thread(target=act, args=values)
    thread.start()
    return thread


def test_a_claim_that_hangs_holds_the_lock_of_nobody(desk: Desk, tmp_path: Path) -> None:
    first = in_thread(desk.custody.open_partial, file_at(tmp_path / "file"))
    assert desk.slow.entered.wait(30)
    assert desk.lock.acquire(timeout=30)
    assert desk.custody.ready(0) is None
    desk.lock.release()
    with pytest.raises(DestinationHangs):
        desk.custody.open_partial(file_at(tmp_path / "file"))
    assert desk.hung == [0]
    desk.slow.go_on.set()
    first.join(30)
    with desk.lock:
        assert desk.custody.ready(0) is not None and desk.slow.calls == 1
        desk.custody.let_go(0, "", may_keep=False)
    assert not desk.custody.holdings and not os.listdir(tmp_path)


def test_who_comes_while_a_file_is_opened_gets_what_was_opened(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(10))
    desk.slow.go_on.set()
    found: list[Existing] = []
    threads = [
        in_thread(lambda: found.append(desk.custody.open_existing(file_at(tmp_path / "file")))) for _ in range(4)
    ]
    for thread in threads:
        thread.join(30)
    assert len(found) == 4 and len(set(map(id, found))) == 1 and desk.slow.calls == 1
    with desk.lock:
        desk.custody.let_go(0, "", may_keep=False)
    assert not desk.custody.existing


def test_what_exists_is_refused_if_it_has_grown(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(11))
    desk.slow.go_on.set()
    with pytest.raises(DestinationExists):
        desk.custody.open_existing(file_at(tmp_path / "file"))
    with desk.lock:
        desk.custody.let_go(0, "", may_keep=False)


def test_a_close_that_hangs_holds_the_lock_of_nobody(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.slow.go_on.set()
    holding = desk.custody.open_partial(file_at(tmp_path / "file"))
    entered, go_on = threading.Event(), threading.Event()
    remove = type(holding.partial).remove

    def hang(partial: Partial) -> None:
        entered.set()
        assert go_on.wait(30)
        remove(partial)

    monkeypatch.setattr(type(holding.partial), "remove", hang)

    def let_go() -> None:
        with desk.lock:
            desk.custody.let_go(0, "", may_keep=False)

    thread = in_thread(let_go)
    assert entered.wait(30)
    with desk.lock:
        # It is in somebody's hands until it is closed, and nobody else closes it.
        desk.custody.let_go(0, "", may_keep=False)
        assert desk.custody.holdings == {0: holding}
    go_on.set()
    deadline = time.monotonic() + 30
    with desk.lock:
        while desk.custody.holdings:
            assert desk.lock.wait(deadline - time.monotonic())
    thread.join(30)
    assert not os.listdir(tmp_path)


def test_users_are_counted(desk: Desk) -> None:
    for _ in range(2):
        desk.custody.use(3)
    desk.custody.unuse(3)
    assert desk.custody.users == {3: 1}
    desk.custody.unuse(3)
    assert not desk.custody.users
