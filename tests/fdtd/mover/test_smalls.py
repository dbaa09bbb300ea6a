"""Small files on the writer's side, by both ways: failures touch only the file that they are about."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fdtcp.errors import ProtocolViolation
from fdtcp.model.order import DestinationFile, OnExists, Policy, State, Sync
from fdtd.mover.commit import Item, Sheaf, commit
from fdtd.mover.frames import Entry
from fdtd.mover.landing import Landing
from fdtd.mover.log import Log
from fdtd.mover.preflight import Preflight
from fdtd.mover.receiver import MAX_REFUSALS
from fdtd.mover.sheaves import Sheaves
from fdtd.mover.smalls import Smalls
from fdtd.mover.streams import StreamBroken
from fdtd.storage.base import Partial
from fdtd.storage.choose import ChosenDestinations
from fdtd.storage.names import partial_name
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_bundle import PosixBundle

CONTENT = b"some bytes"
ENTRY = Entry(0, len(CONTENT), zlib.adler32(CONTENT), 5)

SHORT = Policy()
LONG = Policy(on_exists=OnExists.OVERWRITE)


@pytest.fixture(params=[SHORT, LONG, Policy(sync=Sync.FILE)], ids=["short", "overwrite", "sync each"])
def landing(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Landing]:
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        destinations = ChosenDestinations(prefixes)
        made = Landing(request.param, destinations, Log())
        expect(made, 0, tmp_path / "to/file")
        yield made
        destinations.close()


def expect(landing: Landing, index: int, path: Path) -> None:
    file = DestinationFile(index, os.fsencode(path), len(CONTENT), 5, 0o640, b"s")
    landing.expect(file, Preflight(landing.policy, landing.destinations).decide(file))


def take(landing: Landing, entry: Entry = ENTRY, content: bytes = CONTENT) -> list[Entry]:
    return Smalls(landing).take([entry], memoryview(content))


class Epoch:
    """Takes what is verified, and commits it."""

    def __init__(self, landing: Landing) -> None:
        self.landing = landing
        self.items: list[Item] = []
        self.sheaves: list[Sheaf] = []
        landing.on_verified = lambda item, _size: self.items.append(item)
        landing.on_sheaf = self.sheaves.append

    def commit(self) -> list[tuple[int, State]]:
        """Commit; returns what is told of each file."""
        results = commit(self.items, self.landing.policy.sync, self.landing.fail_volume, sheaves=self.sheaves)
        self.landing.committed(results)
        sheaves = Sheaves(self.landing)
        sheaves.committed(self.sheaves)
        self.items.clear()
        self.sheaves.clear()
        return [(one.index, one.state) for one in (*sheaves.take_outcomes(), *self.landing.take_outcomes())]


def codes(landing: Landing) -> list[str]:
    return [one.problem.code for one in landing.outcomes if one.problem]


def test_a_file_is_there_when_it_is_committed(landing: Landing, tmp_path: Path) -> None:
    epoch = Epoch(landing)
    assert take(landing) == []
    assert not (tmp_path / "to/file").exists() and landing.waiting == 0 and landing.room.uncommitted == 1
    assert epoch.commit() == [(0, State.DONE)]
    status = (tmp_path / "to/file").stat()
    assert (tmp_path / "to/file").read_bytes() == CONTENT
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o640, 5)
    assert os.listdir(tmp_path / "to") == ["file"]
    assert landing.open_files == landing.room.uncommitted == 0 and not landing.holdings and not landing.users
    assert take(landing) == [] and not epoch.items and not epoch.sheaves, "it comes again, and is not wanted"


def test_damage_is_refused_until_the_file_fails(landing: Landing) -> None:
    damaged = b"?" * len(CONTENT)
    for _ in range(MAX_REFUSALS - 1):
        assert take(landing, content=damaged) == [ENTRY]
    assert take(landing, content=damaged) == []
    assert codes(landing) == ["checksum-mismatch"]
    assert take(landing) == [] and not landing.holdings and not landing.users


@pytest.mark.parametrize("landing", [LONG], indirect=True)
def test_a_directory_in_the_way_fails_the_file(landing: Landing, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / os.fsdecode(partial_name(b"file"))).mkdir()
    assert take(landing) == []
    assert codes(landing) == ["destination-blocked"]
    assert not landing.holdings and not landing.users


def test_what_is_no_directory_fails_the_file(landing: Landing, tmp_path: Path) -> None:
    (tmp_path / "to").write_bytes(b"")
    assert take(landing) == []
    assert codes(landing) == ["destination-blocked"]
    assert not landing.holdings and not landing.users


def test_a_changed_source_leaves_nothing(landing: Landing, tmp_path: Path) -> None:
    take(landing, ENTRY._replace(mtime_ns=6))
    assert codes(landing) == ["source-changed"]
    assert not os.listdir(tmp_path / "to")


def test_a_file_that_stands_twice_in_a_batch_is_written_once(landing: Landing, tmp_path: Path) -> None:
    epoch = Epoch(landing)
    assert Smalls(landing).take([ENTRY, ENTRY], memoryview(CONTENT + b"?" * len(CONTENT))) == []
    assert epoch.commit() == [(0, State.DONE)]
    assert (tmp_path / "to/file").read_bytes() == CONTENT


def test_a_batch_with_a_file_of_nobody_is_refused_as_a_whole(landing: Landing, tmp_path: Path) -> None:
    with pytest.raises(ProtocolViolation):
        Smalls(landing).take([ENTRY, ENTRY._replace(file=7)], memoryview(2 * CONTENT))
    assert not landing.users and not os.listdir(tmp_path)
    assert take(landing) == [] and landing.waiting == 0, "its stream is gone, and another brings it"


def test_a_file_of_another_size_is_refused(landing: Landing, tmp_path: Path) -> None:
    with pytest.raises(ProtocolViolation):
        take(landing, ENTRY._replace(size=3), CONTENT[:3])
    assert not landing.users and not os.listdir(tmp_path)


@pytest.mark.parametrize("landing", [SHORT], indirect=True)
def test_what_is_not_plain_goes_the_long_way_and_the_rest_does_not_wait(landing: Landing, tmp_path: Path) -> None:
    expect(landing, 1, tmp_path / "to/damaged")
    expect(landing, 2, tmp_path / "to/sub/../other")  # refused by any way, at its time
    expect(landing, 3, tmp_path / "more/plain")
    epoch = Epoch(landing)
    entries = [ENTRY._replace(file=number) for number in (0, 1, 3)]
    damaged = b"?" * len(CONTENT)
    assert Smalls(landing).take(entries, memoryview(CONTENT + damaged + CONTENT)) == [entries[1]]
    assert [len(sheaf.files) for sheaf in epoch.sheaves] == [2] and not epoch.items
    assert take(landing, entries[1]) == [] and len(epoch.items) == 1
    assert sorted(epoch.commit()) == [(0, State.DONE), (1, State.DONE), (2, State.FAILED), (3, State.DONE)]


@pytest.mark.parametrize("landing", [SHORT], indirect=True)
def test_a_file_system_without_nameless_files_goes_the_long_way(
    landing: Landing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fdtd.storage.posix_bundle._NAMELESS", os.O_WRONLY | os.O_DIRECTORY)
    epoch = Epoch(landing)
    assert take(landing) == []
    assert len(epoch.items) == 1 and not epoch.sheaves
    assert epoch.commit() == [(0, State.DONE)]
    assert os.listdir(tmp_path / "to") == ["file"]


class Slow:
    """Lets the thread that writes one file hang, by either way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
        self.entered, self.go_on = threading.Event(), threading.Event()
        write, claim, name = PosixBundle.write, ChosenDestinations.claim, os.fsencode(path)

        def hang(path: bytes) -> None:
            if path == name and not self.entered.is_set():
                self.entered.set()
                assert self.go_on.wait(30)

        def slow_write(bundle: PosixBundle, path: bytes, mode: int, mtime_ns: int, content: memoryview) -> bool:
            hang(path)
            return write(bundle, path, mode, mtime_ns, content)

        def slow_claim(destinations: ChosenDestinations, path: bytes, mode: int, *, journal: bool) -> Partial:
            hang(path)
            return claim(destinations, path, mode, journal=journal)

        monkeypatch.setattr(PosixBundle, "write", slow_write)
        monkeypatch.setattr(ChosenDestinations, "claim", slow_claim)


@pytest.mark.parametrize(
    "landing", [replace(SHORT, stall_timeout=0.3), replace(LONG, stall_timeout=0.3)], indirect=True
)
def test_a_thread_that_does_not_come_back_keeps_the_files_of_its_device_only(
    landing: Landing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = ["to/file", "to/first", "dead/file", "to/last"]
    for index in (1, 2, 3):
        expect(landing, index, tmp_path / paths[index])
    for above, device in (("to", 1), ("dead", 2)):
        landing.hangs.note_site(os.fsencode(tmp_path / above), device)
    epoch, slow = Epoch(landing), Slow(monkeypatch, tmp_path / "dead/file")
    batch = [ENTRY._replace(file=number) for number in (1, 2, 3)]
    broken: list[str] = []

    def take_and_hang() -> None:
        try:
            with landing.room.taken(len(batch), of_batch=True) as share:
                Smalls(landing, 7).take(batch, memoryview(3 * CONTENT), share)
        except StreamBroken as exc:
            broken.append(exc.reason)

    thread = threading.Thread(target=take_and_hang)
    thread.start()
    assert slow.entered.wait(30)
    # They come again on another stream, with one of another batch.
    assert Smalls(landing, 8).take([*batch, ENTRY], memoryview(4 * CONTENT)) == []
    assert codes(landing) == ["destination-hangs"] and landing.waiting == 0
    assert landing.room._coming == 0, "others need not wait for the room of who does not come back"
    slow.go_on.set()
    thread.join(30)
    assert len(broken) == 1 and not landing.users and not landing.batches and landing.room._coming == 0
    told = dict(epoch.commit())
    assert told == {0: State.DONE, 1: State.DONE, 2: State.FAILED, 3: State.DONE}
    assert all((tmp_path / paths[index]).read_bytes() == CONTENT for index in (0, 1, 3))
    assert not (tmp_path / paths[2]).exists() and sorted(os.listdir(tmp_path / "to")) == ["file", "first", "last"]


@pytest.mark.parametrize("landing", [replace(SHORT, stall_timeout=0.3)], indirect=True)
def test_who_goes_on_is_waited_for(landing: Landing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expect(landing, 1, tmp_path / "to/slow")
    epoch, slow = Epoch(landing), Slow(monkeypatch, tmp_path / "to/slow")
    batch = [ENTRY, ENTRY._replace(file=1)]
    thread = threading.Thread(target=lambda: Smalls(landing).take(batch, memoryview(2 * CONTENT)))
    thread.start()
    assert slow.entered.wait(30)
    is_waiting = threading.Event()
    wait_for = landing.lock.wait_for

    def wait_once(predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        if not is_waiting.is_set():
            is_waiting.set()
            landing.batches[0].now = b"/another"  # it was at another one when the wait began
            found = wait_for(predicate, timeout)
            landing.batches[0].now = b"/and another"
            slow.go_on.set()
            return found
        return wait_for(predicate, 30)

    monkeypatch.setattr(landing.lock, "wait_for", wait_once)
    assert Smalls(landing).take(batch, memoryview(2 * CONTENT)) == []
    thread.join(30)
    assert sorted(epoch.commit()) == [(0, State.DONE), (1, State.DONE)] and is_waiting.is_set()
