"""What a disk gives back decides; one that gives back something else puts no file in place."""

from __future__ import annotations

import errno
import os
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.errors import DestinationFailed, Phase, Side, StreamsLost
from fdtcp.model.order import Checksum, OnExists, Policy, State, Verify
from fdtd.mover import rereading
from fdtd.mover.commit import Item
from fdtd.mover.frames import End, Header, Kind
from fdtd.mover.landing import Landing
from fdtd.mover.log import Log
from fdtd.mover.rereading import Rereader
from fdtd.storage.choose import ChosenDestinations
from fdtd.storage.null import NULL
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_partial import PosixPartial
from tests.fdtd.mover.test_landing import FakeStream, expect
from tests.helpers.movers import Job, Pair

HALF = 1 << 19
CONTENT = os.urandom(2 * HALF)
POLICY = Policy(verify=Verify.DISK)
DEADLINE_S = 20.0


class Stage:
    """One file that has arrived, and a rereader that has it."""

    def __init__(self, directory: Path, prefixes: Prefixes) -> None:
        self.destinations = ChosenDestinations(prefixes)
        self.landing = Landing(POLICY, self.destinations, Log())
        self.is_over = threading.Event()
        self.handed_on: list[Item] = []
        self.rereader = Rereader(self.landing, self._take, Log())
        self.landing.on_verified = self.rereader.add
        self.landing.on_all_final = self.is_over.set
        self.target = directory / "file"

    def _take(self, item: Item, _size: int) -> None:
        self.handed_on.append(item)
        self.is_over.set()

    def arrive(self) -> None:
        expect(self.landing, self.target, len(CONTENT))
        stream = FakeStream(1, self.landing)
        for offset in (HALF, 0):
            header = Header(Kind.BLOCK, 0, 0, 0, offset, HALF)
            partial = self.landing.begin(stream, header)
            assert partial is not None
            part = CONTENT[offset : offset + HALF]
            partial.write(memoryview(part), offset)
            self.landing.written(stream, header, zlib.adler32(part))
        end = End(len(CONTENT), 5, 5, zlib.adler32(CONTENT))
        self.landing.ended(0, lambda: self.landing.receiver.ended(0, end))

    def reread(self) -> str:
        """Let it work; returns the code of what failed."""
        self.rereader.start()
        assert self.is_over.wait(DEADLINE_S)
        assert not self.rereader.stop(DEADLINE_S)
        problems = [outcome.problem for outcome in self.landing.outcomes if outcome.problem]
        return problems[0].code if problems else ""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        made = Stage(tmp_path, prefixes)
        yield made
        made.rereader.stop(DEADLINE_S)
        for holding in list(made.landing.holdings.values()):
            holding.partial.close()
        made.destinations.close()


def test_what_the_disk_gives_back_as_it_was_goes_on_to_its_commit(stage: Stage) -> None:
    stage.arrive()
    assert stage.reread() == ""
    assert [item.file for item in stage.handed_on] == [0]


def test_one_bit_that_the_disk_has_changed_fails_the_file_and_says_where(stage: Stage, tmp_path: Path) -> None:
    stage.arrive()
    partial = stage.landing.holdings[0].partial
    partial.write(memoryview(bytes([CONTENT[HALF + 7] ^ 1])), HALF + 7)
    assert stage.reread() == "disk-mismatch"
    (outcome,) = stage.landing.outcomes
    assert outcome.problem is not None and f"from byte {HALF} to {2 * HALF - 1}" in outcome.problem.reason
    assert not os.listdir(tmp_path) and not stage.handed_on and stage.landing.room.uncommitted == 0


def test_a_file_that_became_shorter_is_no_match(stage: Stage) -> None:
    stage.arrive()
    os.ftruncate(stage.landing.holdings[0].partial.descriptor, HALF)
    assert stage.reread() == "disk-mismatch"


@pytest.mark.parametrize("step", ["sync_data", "read_back", "drop_cached"])
def test_a_disk_that_fails_meanwhile_fails_the_file(stage: Stage, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(*_: object) -> None:
        raise DestinationFailed("EIO")

    stage.arrive()
    monkeypatch.setattr(PosixPartial, step, fail)
    assert stage.reread() == "destination-failed"


def test_what_a_checkpoints_sync_has_said_is_not_forgotten(stage: Stage) -> None:
    stage.arrive()
    stage.landing.holdings[0].lost = DestinationFailed("said once")
    assert stage.reread() == "destination-failed"


def test_what_was_not_begun_is_given_back(stage: Stage) -> None:
    stage.arrive()
    (item,) = stage.rereader.stop(0.0)
    stage.landing.abandon([item], StreamsLost("x").problem(Side.DESTINATION, Phase.TRANSFER))
    assert [outcome.state for outcome in stage.landing.outcomes] == [State.FAILED]


def test_a_stop_ends_the_reading(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, go_on = threading.Event(), threading.Event()
    real = PosixPartial.read_back

    def read_back(partial: PosixPartial, view: memoryview, offset: int) -> int:
        reading.set()
        assert go_on.wait(DEADLINE_S)
        return real(partial, view, offset)

    monkeypatch.setattr(PosixPartial, "read_back", read_back)
    stage.arrive()
    stage.rereader.start()
    assert reading.wait(DEADLINE_S)
    assert not stage.rereader.stop(0.0)
    go_on.set()
    assert stage.is_over.wait(DEADLINE_S)
    assert [outcome.problem.code for outcome in stage.landing.outcomes if outcome.problem] == ["abandoned"]


def test_long_files_wait_for_their_like_only(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rereading, "LONG_BYTES", len(CONTENT))
    stage.arrive()
    assert stage.reread() == ""


def test_small_and_large_files_say_that_they_were_read_back_and_those_that_were_there_do_not(tmp_path: Path) -> None:
    pairs: list[Pair] = []
    for name, content in (("large", CONTENT), ("small", b"small"), ("empty", b""), ("there", b"there")):
        (tmp_path / name).write_bytes(content)
        pairs.append((tmp_path / name, tmp_path / "to" / name))
    (tmp_path / "to").mkdir()
    (tmp_path / "to/there").write_bytes(b"there")
    with Job(pairs, POLICY) as job:
        outcomes = job.run()
    assert [(outcomes[index].state, outcomes[index].promise) for index in range(4)] == [
        *[(State.DONE, "read back")] * 3,
        (State.SKIPPED, ""),
    ]
    for name in ("large", "small", "empty"):
        assert (tmp_path / "to" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_storage_that_gives_nothing_back_is_refused_before_a_byte_moves(tmp_path: Path) -> None:
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        landing = Landing(POLICY, ChosenDestinations(prefixes), Log())
        expect(landing, Path(os.fsdecode(NULL)))
        assert [outcome.problem.code for outcome in landing.outcomes if outcome.problem] == ["option-refused"]


@pytest.mark.parametrize(
    ("policy", "promise"),
    [
        (Policy(), ""),
        (Policy(on_exists=OnExists.FAIL, checksum=Checksum.NONE), ""),
        (POLICY, "read back"),
    ],
)
def test_the_policy_has_the_words_for_it(policy: Policy, promise: str) -> None:
    assert (policy.promise, policy.contradiction) == (promise, "")


def test_a_sync_of_many_files_that_fails_fails_each(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("fdtd.mover.rereading.MANY_FILES", 1)
    monkeypatch.setattr("fdtd.storage.posix_volume.sync_file_system", fail)
    monkeypatch.setattr("os.fdatasync", lambda _descriptor: None)  # the kernel has said it, and says it once
    stage.arrive()
    assert stage.reread() == "destination-failed"
    assert not stage.handed_on and not stage.target.exists()
