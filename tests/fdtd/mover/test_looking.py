"""Looks at sources, some of which never come back."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import pytest

from fdtcp.errors import FdtError, Phase, Problem, ProtocolViolation, Side, SourceMissing
from fdtcp.model.order import Describe, Described, Found, SourceFile
from fdtd.mover.control import ANSWER_WITHIN_S, Control
from fdtd.mover.looking import SLOW_S, Looks
from fdtd.storage.base import Look

PATIENCE_S = 30.0
WAIT_S = 30.0


class Pipes(Control):
    """Control without pipes."""

    def __init__(self) -> None:
        super().__init__(-1, -1)
        self.said: list[Described] = []
        self.failures: list[FdtError] = []
        self.news = threading.Semaphore(0)

    def say(self, message: object) -> None:
        assert isinstance(message, Described)
        self.said.append(message)
        self.news.release()

    def fail(self, error: FdtError) -> None:
        self.failures.append(error)
        self.news.release()

    def answer(self) -> dict[int, str]:
        """Return the problem code of each file of the next answer."""
        assert self.news.acquire(timeout=WAIT_S)
        return {one.index: one.problem.code if one.problem else "" for one in self.said.pop().found}


class Disk:
    """A file system on which names that hold "dead" hang until the end of the test, and "none" does not exist."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.asked: dict[str, threading.Event] = {}
        self.looked: list[str] = []
        self.known: dict[int, bytes] = {}
        self.lock = threading.Lock()

    def event(self, name: str) -> threading.Event:
        with self.lock:
            return self.asked.setdefault(name, threading.Event())

    def reading(self) -> AbstractContextManager[None]:
        return nullcontext()

    def note_looks(self, paths: Sequence[bytes], looks: Mapping[int, Look]) -> None:
        if not self.known.keys().isdisjoint(looks):
            raise ProtocolViolation("described twice")
        self.known |= zip(looks, paths, strict=True)

    def look(self, path: bytes) -> Look | Problem:
        name = os.fsdecode(path)
        self.looked.append(name)
        self.event(name).set()
        if "dead" in name:
            assert self.release.wait(2 * WAIT_S)
        if "none" in name:
            return SourceMissing(name).problem(Side.SOURCE, Phase.PREFLIGHT)
        return 1, 2, 3, 0o644, 4

    def wait_asked(self, name: str) -> None:
        assert self.event(name).wait(WAIT_S), f"nobody looked at {name}"


@pytest.fixture
def disk() -> Iterator[Disk]:
    made = Disk()
    yield made
    made.release.set()
    for thread in threading.enumerate():
        if thread.name == "look":
            thread.join(WAIT_S)


def describe(*names: str, seq: int = 0) -> Describe:
    return Describe(seq, tuple(SourceFile(index, os.fsencode(name)) for index, name in enumerate(names)))


def test_what_answers_is_found(disk: Disk) -> None:
    pipes = Pipes()
    Looks(disk, PATIENCE_S, pipes).begin(describe("/a", "/b"), 0.0)
    assert pipes.answer() == {0: "", 1: ""}
    assert disk.looked == ["/a", "/b"]
    assert disk.known == {0: b"/a", 1: b"/b"}


def test_what_cannot_be_found_is_told_beside_what_is(disk: Disk) -> None:
    pipes = Pipes()
    Looks(disk, PATIENCE_S, pipes).begin(describe("/a", "/none", "/b"), 0.0)
    assert pipes.news.acquire(timeout=WAIT_S)
    (answer,) = pipes.said
    found = {one.index: one for one in answer.found}
    assert found[0] == Found(0, 1, 2, 0o644) and found[2] == Found(2, 1, 2, 0o644)
    assert found[1].problem is not None and found[1].problem.code == "source-missing"
    assert disk.known == {0: b"/a", 2: b"/b"}


def test_an_order_without_files_is_answered(disk: Disk) -> None:
    pipes = Pipes()
    looks = Looks(disk, PATIENCE_S, pipes)
    looks.begin(describe(), 0.0)
    looks.tick(0.0)
    assert pipes.answer() == {}


def test_a_look_that_hangs_fails_alone_and_its_neighbours_wait_for_the_others(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("fdtd.mover.looking.time.monotonic", lambda: clock[0])
    pipes = Pipes()
    looks = Looks(disk, PATIENCE_S, pipes)
    looks.begin(describe("/mount/dead", "/mount/beside", "/disk/good"), clock[0])
    disk.wait_asked("/mount/dead")
    looks.tick(clock[0] + SLOW_S)
    disk.wait_asked("/mount/beside")
    assert disk.looked == ["/mount/dead", "/disk/good", "/mount/beside"]
    assert not pipes.said
    looks.tick(clock[0] + PATIENCE_S)
    assert pipes.answer() == {0: "source-hangs", 1: "", 2: ""}


def test_a_look_that_comes_back_too_late_says_nothing(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fdtd.mover.looking.time.monotonic", lambda: 0.0)
    pipes = Pipes()
    looks = Looks(disk, PATIENCE_S, pipes)
    looks.begin(describe("/dead"), 0.0)
    disk.wait_asked("/dead")
    looks.tick(PATIENCE_S)
    assert pipes.answer() == {0: "source-hangs"}
    disk.release.set()
    for thread in threading.enumerate():
        if thread.name == "look":
            thread.join(WAIT_S)
    looks.tick(PATIENCE_S)
    assert not pipes.said and not pipes.news.acquire(blocking=False)


def test_an_order_on_a_dead_mount_is_answered_before_the_daemon_gives_up(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fdtd.mover.looking.time.monotonic", lambda: 0.0)
    pipes = Pipes()
    looks = Looks(disk, 10 * ANSWER_WITHIN_S, pipes)
    names = [f"/dead/{number}" for number in range(40)]
    looks.begin(describe(*names), 0.0)
    for tick in range(20):
        looks.tick(SLOW_S + tick)
    assert not pipes.said
    looks.tick(ANSWER_WITHIN_S)
    assert pipes.answer() == dict.fromkeys(range(40), "source-hangs")
    assert len(disk.looked) <= 8


def test_what_was_seen_before_a_file_that_hangs_is_not_looked_at_again(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fdtd.mover.looking.time.monotonic", lambda: 0.0)
    pipes = Pipes()
    looks = Looks(disk, PATIENCE_S, pipes)
    looks.begin(describe("/a/first", "/b/dead", "/c/last"), 0.0)
    disk.wait_asked("/b/dead")
    looks.tick(SLOW_S)
    disk.wait_asked("/c/last")
    disk.release.set()
    assert pipes.answer() == {0: "", 1: "", 2: ""}
    assert disk.looked == ["/a/first", "/b/dead", "/c/last"]


def test_a_look_that_comes_back_as_its_thread_is_relieved_is_not_forgotten(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def clock() -> float:
        """Tick between the end of a thread's first look and the beginning of its second one."""
        nonlocal asked
        if threading.current_thread().name == "look":
            asked += 1
            if asked == 3:  # its turn, its first look, its second one
                looks.tick(SLOW_S)
        return 0.0

    monkeypatch.setattr("fdtd.mover.looking.time.monotonic", clock)
    pipes = Pipes()
    looks = Looks(disk, PATIENCE_S, pipes)
    looks.begin(describe("/a/slow", "/b/dead"), 0.0)
    disk.wait_asked("/b/dead")
    looks.tick(PATIENCE_S)
    assert pipes.answer() == {0: "", 1: "source-hangs"}


def test_an_order_that_breaks_the_rules_ends_the_mover(disk: Disk) -> None:
    pipes = Pipes()
    looks = Looks(disk, PATIENCE_S, pipes)
    looks.begin(describe("/a"), 0.0)
    assert pipes.answer() == {0: ""}
    looks.begin(describe("/a"), 0.0)
    assert pipes.news.acquire(timeout=WAIT_S)
    assert [error.reason for error in pipes.failures] == ["described twice"]
    with pytest.raises(ProtocolViolation):
        looks.begin(Describe(1, (SourceFile(7, b"/a"), SourceFile(7, b"/a"))), 0.0)
