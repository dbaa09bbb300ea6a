"""Journals vouch only for what was synced, whatever happens at the same moment."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.errors import Abandoned, DestinationFailed, DestinationFull, FdtError, Phase, Side
from fdtcp.model.order import DestinationFile, Extent, Policy, State, Sync
from fdtd.mover.checkpoints import Checkpoints
from fdtd.mover.frames import End, Header, Kind
from fdtd.mover.journal import decode_journal
from fdtd.mover.landing import Landing
from fdtd.mover.log import Log
from fdtd.mover.preflight import Preflight
from fdtd.mover.receiver import Reply
from fdtd.mover.safekeeping import Committer
from fdtd.storage.choose import ChosenDestinations
from fdtd.storage.names import journal_name
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_partial import PosixPartial

MIB = 1 << 20
CONTENT = os.urandom(4 * MIB)
STOPPED = Abandoned("x").problem(Side.DESTINATION, Phase.TRANSFER)
WAIT_S = 10.0


class FakeStream:
    number = 1

    def end(self) -> None:
        """Go."""


class Attempt:
    """One attempt at a file of four blocks."""

    def __init__(self, destinations: ChosenDestinations, path: Path, sync: Sync = Sync.BATCH) -> None:
        self.landing = Landing(Policy(sync=sync), destinations, Log())
        self.checkpoints = Checkpoints(self.landing)
        self.stream = FakeStream()
        self.landing.stream_opened(self.stream)
        file = DestinationFile(0, os.fsencode(path), len(CONTENT), 5, 0o644, b"s")
        self.landing.expect(file, Preflight(self.landing.policy, destinations).decide(file))

    def put(self, number: int) -> None:
        data = CONTENT[number * MIB : (number + 1) * MIB]
        header = Header(Kind.BLOCK, 0, 0, 0, number * MIB, MIB)
        partial = self.landing.begin(self.stream, header)
        assert partial is not None
        partial.write(memoryview(data), header.offset)
        self.landing.written(self.stream, header, zlib.adler32(data))

    def finish(self) -> None:
        end = End(len(CONTENT), 5, 5, zlib.adler32(CONTENT))
        self.landing.ended(0, lambda: self.landing.receiver.ended(0, end))

    def refuse(self, length: int = MIB) -> Reply:
        return self.checkpoints.kept_sum(Header(Kind.SUM, 0, 0, 0, 0, length), 1)

    def codes(self) -> list[str]:
        return [outcome.problem.code for outcome in self.landing.outcomes if outcome.problem]


class Gate:
    """Lets a sync fail, when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: FdtError) -> None:
        self.is_in = threading.Event()
        self.go = threading.Event()
        monkeypatch.setattr(PosixPartial, "sync_data", lambda _: self._sync(error))

    def _sync(self, error: FdtError) -> None:
        self.is_in.set()
        assert self.go.wait(WAIT_S)
        raise error


@pytest.fixture
def destinations(tmp_path: Path) -> Iterator[ChosenDestinations]:
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        made = ChosenDestinations(prefixes)
        yield made
        made.close()


def journalled(tmp_path: Path) -> list[Extent]:
    return decode_journal((tmp_path / os.fsdecode(journal_name(b"file"))).read_bytes(), None)


def leave(destinations: ChosenDestinations, path: Path, blocks: int) -> None:
    """Leave a partial with a journal of so many blocks."""
    first = Attempt(destinations, path)
    for number in range(blocks):
        first.put(number)
    first.checkpoints.make(0)
    first.landing.fail_open(STOPPED)
    assert [one.size for one in first.landing.kept] == [blocks * MIB]


def test_a_journal_that_forgets_a_part_vouches_for_nothing_that_is_not_synced(
    destinations: ChosenDestinations, tmp_path: Path
) -> None:
    leave(destinations, tmp_path / "file", 1)
    attempt = Attempt(destinations, tmp_path / "file")
    attempt.put(2)
    attempt.checkpoints.make(0)
    attempt.put(3)
    assert attempt.refuse() is Reply.NAK
    assert [extent.offset for extent in journalled(tmp_path)] == [2 * MIB]
    attempt.landing.fail_open(STOPPED)
    assert [one.size for one in attempt.landing.kept] == [MIB]


def test_a_part_refused_while_a_sync_fails_leaves_nothing_and_holds_nobody_up(
    destinations: ChosenDestinations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(destinations, tmp_path / "file", 1)
    attempt = Attempt(destinations, tmp_path / "file")
    attempt.put(2)
    gate = Gate(monkeypatch, DestinationFull("delayed allocation found no space"))
    threads = [threading.Thread(target=attempt.checkpoints.make, args=(0,)), threading.Thread(target=attempt.refuse)]
    threads[0].start()
    assert gate.is_in.wait(WAIT_S)
    threads[1].start()
    attempt.put(3)  # other streams go on during the sync
    gate.go.set()
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()
    assert attempt.codes() == ["destination-full"]
    assert not attempt.landing.kept and not os.listdir(tmp_path)


class Watched:
    """A lock whose waiters can be seen, and held up before they get it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waited_for = threading.Event()
        self.go = threading.Event()

    def acquire(self, *, blocking: bool) -> bool:
        return self.lock.acquire(blocking)

    def release(self) -> None:
        self.lock.release()

    def __enter__(self) -> None:
        self.waited_for.set()
        assert self.go.wait(WAIT_S)
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def test_who_waits_for_a_file_that_is_let_go_of_waits_no_longer(
    destinations: ChosenDestinations, tmp_path: Path
) -> None:
    leave(destinations, tmp_path / "file", 1)
    attempt = Attempt(destinations, tmp_path / "file")
    watched = Watched()
    attempt.landing.holdings[0].busy = watched  # type: ignore[assignment]  # as much of a lock as is used of it
    refuser = threading.Thread(target=attempt.refuse, daemon=True)
    refuser.start()
    assert watched.waited_for.wait(WAIT_S)
    attempt.landing.fail(0, STOPPED)
    assert not attempt.landing.holdings
    watched.go.set()
    refuser.join(WAIT_S)
    assert not refuser.is_alive()


def test_the_committer_hears_of_a_checkpoint_that_failed_while_the_file_was_completed(
    destinations: ChosenDestinations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint's sync has taken the kernel's word; the committer's would hear nothing of it."""
    attempt = Attempt(destinations, tmp_path / "file", Sync.FILE)
    landing = attempt.landing
    for number in range(4):
        attempt.put(number)
    gate = Gate(monkeypatch, DestinationFailed("EIO"))
    final = threading.Event()
    landing.on_all_final = final.set
    committer = Committer(Sync.FILE, landing, Log())
    keeper = threading.Thread(target=attempt.checkpoints.make, args=(0,))
    keeper.start()
    assert gate.is_in.wait(WAIT_S)
    attempt.finish()
    committer.start()
    with landing.lock:  # as a busy stream may have it when the sync returns
        gate.go.set()
        holding = landing.holdings[0]
        assert holding.busy.acquire(timeout=WAIT_S)
        holding.busy.release()
    assert final.wait(WAIT_S)
    keeper.join(WAIT_S)
    committer.stop(WAIT_S)
    assert [outcome.state for outcome in landing.outcomes] == [State.FAILED]
    assert attempt.codes() == ["destination-failed"] and not os.listdir(tmp_path)


def test_a_file_of_a_failed_volume_is_not_kept_for_a_later_attempt(
    destinations: ChosenDestinations, tmp_path: Path
) -> None:
    attempt = Attempt(destinations, tmp_path / "file")
    attempt.put(0)
    attempt.checkpoints.make(0)
    volume = attempt.landing.holdings[0].partial.volume
    attempt.landing.fail_volume(volume, DestinationFull("no space left"))
    assert attempt.codes() == ["destination-full"]
    assert not attempt.landing.kept and not os.listdir(tmp_path)
