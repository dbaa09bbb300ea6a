"""Small files that were written together, and what fails of them."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.errors import Abandoned, DestinationFailed, Phase, Side, SourceChanged
from fdtcp.model.order import DestinationFile, Policy, State, Sync
from fdtd.mover.commit import Sheaf, commit
from fdtd.mover.frames import Entry, Header, Kind
from fdtd.mover.landing import Landing
from fdtd.mover.log import Log
from fdtd.mover.preflight import Preflight
from fdtd.mover.receiver import Reply
from fdtd.mover.sheaves import Sheaves
from fdtd.mover.smalls import Smalls
from fdtd.storage.choose import ChosenDestinations
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_bundle import PosixBundle
from fdtd.storage.posix_volume import FileSystem

FILES = 5
CONTENTS = [b"file %d" % number for number in range(FILES)]


class Stage:
    """A landing that expects some files, and what came of their batch."""

    def __init__(self, landing: Landing, directory: Path) -> None:
        self.landing = landing
        self.directory = directory
        self.sheaves: list[Sheaf] = []
        landing.on_sheaf = self.sheaves.append
        for number, content in enumerate(CONTENTS):
            path = os.fsencode(directory / str(number))
            file = DestinationFile(number, path, len(content), 5, 0o640, b"s")
            landing.expect(file, Preflight(landing.policy, landing.destinations).decide(file))

    def take(self) -> list[Entry]:
        entries = [Entry(number, len(one), zlib.adler32(one), 5) for number, one in enumerate(CONTENTS)]
        return Smalls(self.landing).take(entries, memoryview(b"".join(CONTENTS)))

    def commit(self) -> dict[int, str]:
        """Commit; returns what became of each file."""
        commit([], Sync.BATCH, self.landing.fail_volume, sheaves=self.sheaves)
        Sheaves(self.landing).committed(self.sheaves)
        return self.told()

    def told(self) -> dict[int, str]:
        outcomes = [*Sheaves(self.landing).take_outcomes(), *self.landing.take_outcomes()]
        assert len({one.index for one in outcomes}) == len(outcomes)
        assert all(
            one.problem or one.checksum == f"adler32:{zlib.adler32(CONTENTS[one.index]):08x}" for one in outcomes
        )
        return {one.index: one.problem.code if one.problem else one.state.value for one in outcomes}

    def there(self) -> set[str]:
        return set(os.listdir(self.directory))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    (tmp_path / "to").mkdir()
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        destinations = ChosenDestinations(prefixes)
        yield Stage(Landing(Policy(), destinations, Log()), tmp_path / "to")
        destinations.close()


def test_all_are_done_together(stage: Stage) -> None:
    assert stage.take() == []
    assert stage.there() == set()
    finished = []
    stage.landing.on_all_final = lambda: finished.append(True)
    assert stage.commit() == dict.fromkeys(range(FILES), State.DONE.value)
    assert [(stage.directory / str(number)).read_bytes() for number in range(FILES)] == CONTENTS
    assert finished == [True] and stage.landing.finished_files == FILES


def test_room_is_for_others_when_the_descriptors_are(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.take()
    (stage.directory / "2").write_bytes(b"mine")  # one that fails holds a descriptor like the others
    close, held = PosixBundle.close, []

    def note(bundle: PosixBundle) -> None:
        close(bundle)
        held.append(stage.landing.room.uncommitted)

    monkeypatch.setattr(PosixBundle, "close", note)
    stage.commit()
    assert held == [FILES] and stage.landing.room.uncommitted == 0


def test_what_somebody_else_made_meanwhile_stays_and_fails_one_file(stage: Stage) -> None:
    stage.take()
    (stage.directory / "2").write_bytes(b"mine")
    done = dict.fromkeys(range(FILES), State.DONE.value)
    assert stage.commit() == done | {2: "destination-exists"}
    assert (stage.directory / "2").read_bytes() == b"mine"
    assert stage.sheaves[0].failed == 1
    assert (stage.landing.open_files, stage.landing.room.uncommitted, stage.landing.finished_files) == (0, 0, FILES)
    assert stage.take() == [], "it comes again, and is not wanted"


@pytest.mark.parametrize("failing", [1, 2])
def test_a_sync_that_fails_fails_all_and_takes_away_what_is_in_place(
    stage: Stage, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    seen = []

    def sync(_: FileSystem) -> None:
        calls.append(True)
        seen.append(stage.there())
        if len(calls) == failing:
            raise DestinationFailed("EIO")

    monkeypatch.setattr(FileSystem, "sync", sync)
    stage.take()
    assert stage.commit() == dict.fromkeys(range(FILES), "destination-failed")
    assert [bool(names) for names in seen] == [False, True][:failing]
    assert stage.there() == set()


def test_what_nobody_began_to_commit_leaves_nothing(stage: Stage) -> None:
    stage.take()
    Sheaves(stage.landing).abandon(stage.sheaves, Abandoned("x").problem(Side.DESTINATION, Phase.TRANSFER))
    assert stage.told() == dict.fromkeys(range(FILES), "abandoned")
    assert stage.there() == set()
    assert (stage.landing.open_files, stage.landing.waiting, stage.landing.room.uncommitted) == (0, 0, 0)


def test_a_file_that_fails_while_it_is_written_is_dropped(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stream seemed dead, and on another one the source says that it has changed."""
    landing = stage.landing
    bundle = landing.destinations.bundle

    def late() -> object:
        landing.fail(1, SourceChanged("x").problem(Side.SOURCE, Phase.TRANSFER))
        return bundle()

    monkeypatch.setattr(landing.destinations, "bundle", late)
    assert stage.take() == []
    assert stage.told() == {1: "source-changed"}
    (sheaf,) = stage.sheaves
    assert len(sheaf.files) == FILES - 1 and sheaf.size == sum(map(len, CONTENTS)) - len(CONTENTS[1])
    assert stage.commit() == dict.fromkeys({0, 2, 3, 4}, State.DONE.value)
    assert stage.there() == {"0", "2", "3", "4"}


def test_nothing_that_a_peer_says_changes_what_the_committer_has(stage: Stage) -> None:
    stage.take()
    landing = stage.landing
    landing.fail(0, SourceChanged("x").problem(Side.SOURCE, Phase.TRANSFER))

    class Stream:
        number = 1

        def end(self) -> None:
            """Never asked to."""

    size = len(CONTENTS[0])
    header = Header(Kind.BLOCK, 0, 0, 0, 0, size)
    assert landing.begin(Stream(), header) is None
    assert landing.discarded(header) is Reply.ACK
    assert stage.commit() == dict.fromkeys(range(FILES), State.DONE.value)
