"""Devices that are made safe side by side."""

from __future__ import annotations

import os
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.model.order import DestinationFile, Policy, State
from fdtd.mover.frames import Entry
from fdtd.mover.landing import Landing
from fdtd.mover.log import Log
from fdtd.mover.preflight import Preflight
from fdtd.mover.safekeeping import Committer
from fdtd.mover.sheaves import Sheaves
from fdtd.mover.smalls import Smalls
from fdtd.storage.choose import ChosenDestinations
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_bundle import PosixBundle
from fdtd.storage.posix_volume import FileSystem

CONTENT = b"some bytes"
WAIT_S = 30.0


class Gate:
    """Lets publishing in one directory hang."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self.entered, self.go_on, self.is_through = threading.Event(), threading.Event(), threading.Event()
        publish, above = PosixBundle.publish, os.fsencode(directory)

        def hang(bundle: PosixBundle) -> object:
            if bundle._open.get(above) is None:
                return publish(bundle)
            self.entered.set()
            assert self.go_on.wait(WAIT_S)
            try:
                return publish(bundle)
            finally:
                self.is_through.set()

        monkeypatch.setattr(PosixBundle, "publish", hang)


class Stage:
    """Two directories that count as two devices."""

    def __init__(self, root: Path, destinations: ChosenDestinations) -> None:
        self.root = root
        self.landing = Landing(Policy(stall_timeout=0.5), destinations, Log())
        self.committer = Committer(self.landing.policy.sync, self.landing, Log())
        self.committer.is_last = lambda: True
        self.landing.on_hang = lambda _error: self.committer.give_up()
        self.preflight = Preflight(self.landing.policy, destinations, self.landing.hangs)

    def bring(self, index: int, where: str) -> None:
        """Expect a file, and let it come."""
        path = os.fsencode(self.root / where / str(index))
        (self.root / where).mkdir(exist_ok=True)
        file = DestinationFile(index, path, len(CONTENT), 5, 0o640, b"s")
        self.landing.expect(file, self.preflight.decide(file))
        self.landing.hangs.note_site(os.path.dirname(path), 1 if where == "good" else 2)
        Smalls(self.landing).take([Entry(index, len(CONTENT), zlib.adler32(CONTENT), 5)], memoryview(CONTENT))

    def wait_final(self, files: int) -> dict[int, str]:
        """Wait until so many files are final; return what is told of them."""
        deadline = time.monotonic() + WAIT_S
        with self.landing.lock:
            while self.landing.finished_files < files:
                assert self.landing.lock.wait(deadline - time.monotonic())
        told = [*Sheaves(self.landing).take_outcomes(), *self.landing.take_outcomes()]
        return {one.index: one.problem.code if one.problem else one.state.value for one in told}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        destinations = ChosenDestinations(prefixes)
        made = Stage(tmp_path, destinations)
        made.committer.start()
        yield made
        made.committer.stop(WAIT_S)
        destinations.close()


def test_files_of_other_devices_become_safe_beside_one_that_hangs(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, tmp_path / "dead")
    stage.bring(0, "good")
    stage.bring(1, "dead")
    assert gate.entered.wait(WAIT_S)
    stage.bring(2, "dead")  # waits for the next epoch
    stage.bring(3, "good")
    assert stage.wait_final(2) == {0: State.DONE.value, 3: State.DONE.value}
    assert stage.committer.hangs_at(time.monotonic(), 3600) == []
    found = stage.committer.hangs_at(time.monotonic() + 3600, 60)
    assert found == [os.fsencode(tmp_path / "dead/1")]
    stage.landing.give_up(found[0], 60)
    assert stage.wait_final(4) == {1: "destination-hangs", 2: "destination-hangs"}
    gate.go_on.set()
    assert gate.is_through.wait(WAIT_S)
    # It comes back after all, and finds that it has nothing to say any more.
    stage.committer.stop(WAIT_S)
    assert stage.wait_final(4) == {} and stage.landing.room.uncommitted == 0


def test_what_was_said_to_have_failed_is_not_put_in_place_later(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that answered after all used to get files, and to have them replaced, long after the user was told."""
    entered, go_on = threading.Event(), threading.Event()
    sync = FileSystem.sync

    def hang(volume: FileSystem) -> None:
        entered.set()
        assert go_on.wait(WAIT_S)
        sync(volume)

    monkeypatch.setattr(FileSystem, "sync", hang)
    stage.bring(0, "dead")
    assert entered.wait(WAIT_S)
    stage.landing.give_up(os.fsencode(tmp_path / "dead/0"), 60)
    assert stage.wait_final(1) == {0: "destination-hangs"}
    go_on.set()
    stage.committer.stop(WAIT_S)
    assert os.listdir(tmp_path / "dead") == []


def test_what_comes_late_to_a_device_that_hangs_fails(stage: Stage, tmp_path: Path) -> None:
    stage.bring(0, "dead")
    assert stage.wait_final(1) == {0: State.DONE.value}
    stage.landing.give_up(os.fsencode(tmp_path / "dead/0"), 60)
    stage.bring(1, "dead")
    stage.bring(2, "good")
    assert stage.wait_final(3) == {1: "destination-hangs", 2: State.DONE.value}


def test_what_none_was_begun_for_is_given_back(tmp_path: Path) -> None:
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        destinations = ChosenDestinations(prefixes)
        stage = Stage(tmp_path, destinations)
        stage.bring(0, "good")
        stage.bring(1, "dead")
        left = stage.committer.stop(0.0)
        assert sorted(file.index for sheaf in left.sheaves for file, _ in sheaf.files.values()) == [0, 1]
        stage.bring(2, "good")
        assert len(stage.committer.stop(0.0).sheaves) == 1, "what comes while it is stopped"
        for sheaf in left.sheaves:
            sheaf.bundle.close()
        destinations.close()
