"""Small files on the reader's side: what changed is given up alone, whichever way it was read."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.model.order import Policy
from fdtd.mover.asking import Asking
from fdtd.mover.first_looks import FirstLooks
from fdtd.mover.frames import Entry
from fdtd.mover.gathering import gather
from fdtd.mover.log import Log
from fdtd.mover.outbox import Outbox
from fdtd.mover.streams import StreamBroken
from fdtd.storage.choose import ChosenSources
from fdtd.storage.paths import Prefixes
from tests.helpers.described import describe_one

CONTENTS = [b"first", b"", b"the third"]


class Stage:
    """An outbox that knows some files."""

    def __init__(self, directory: Path, sources: ChosenSources) -> None:
        self.paths = [directory / str(number) for number in range(len(CONTENTS))]
        self.outbox = Outbox(Policy(), sources, Log())
        for number, (path, content) in enumerate(zip(self.paths, CONTENTS, strict=True)):
            path.write_bytes(content)
            describe_one(self.outbox, number, path)
        self.failed: list[tuple[int, str]] = []
        self.outbox.failed = lambda file, error: self.failed.append((file, error.code))  # type: ignore[method-assign]  # to hear of it

    def gather(self) -> tuple[list[Entry], bytes]:
        buffer = memoryview(bytearray(100))
        entries, used = gather(self.outbox, Asking(), range(len(CONTENTS)), buffer)
        return entries, bytes(buffer[:used])

    def entry(self, number: int) -> Entry:
        content = CONTENTS[number]
        return Entry(number, len(content), zlib.adler32(content), self.paths[number].stat().st_mtime_ns)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        sources = ChosenSources(prefixes, 0)
        yield Stage(tmp_path, sources)
        sources.close()


def test_files_stand_one_behind_the_other(stage: Stage) -> None:
    assert stage.gather() == ([stage.entry(number) for number in range(3)], b"".join(CONTENTS))
    assert not stage.failed


@pytest.mark.parametrize("way", ["short", "long"])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda path: path.write_bytes(b"anew!"), "source-changed"),
        (lambda path: path.write_bytes(b"longer than before"), "source-changed"),
        (lambda path: path.write_bytes(b"1"), "source-changed"),
        (lambda path: path.chmod(0o600), "source-changed"),
        (lambda path: path.unlink(), "source-missing"),
    ],
    ids=["rewritten", "longer", "shorter", "mode", "gone"],
)
def test_what_is_not_as_it_was_is_given_up_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, way: str, change: object, code: str
) -> None:
    assert callable(change)
    if way == "long":
        monkeypatch.setattr(ChosenSources, "reading", lambda _self: None)
    os.utime(stage.paths[0], ns=(5, 5))
    stage.outbox._known = FirstLooks()
    for number, path in enumerate(stage.paths):
        describe_one(stage.outbox, number, path)
    change(stage.paths[0])
    entries, content = stage.gather()
    assert entries == [stage.entry(1), stage.entry(2)] and content == CONTENTS[2]
    assert stage.failed == [(0, code)]


def test_a_link_is_followed_by_the_long_way(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("0")
    describe_one(stage.outbox, 7, tmp_path / "link")
    buffer = memoryview(bytearray(100))
    entries, used = gather(stage.outbox, Asking(), [7], buffer)
    assert entries == [stage.entry(0)._replace(file=7)] and bytes(buffer[:used]) == CONTENTS[0]


def test_who_comes_back_from_a_file_system_that_hung_judges_no_file(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of its batch are another stream's by now, also the one that it could not read."""
    asking = Asking()
    stage.paths[2].unlink()

    def hang(_file: int) -> None:
        monkeypatch.undo()
        asking.ask(0)
        assert asking.give_up(float("inf")) == 0

    monkeypatch.setattr(asking, "ask", hang)
    with pytest.raises(StreamBroken):
        gather(stage.outbox, asking, range(len(CONTENTS)), memoryview(bytearray(100)))
    assert not stage.failed
