from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from benchmarks.contest import Contest, hold
from benchmarks.data import DISK, Files, Places, _is_cached, laid_out, warm
from benchmarks.metering import CommandFailed
from benchmarks.peers.base import Peer
from benchmarks.work import WHOLE_COMMAND, Copy, Measurement, Work


def chance() -> random.Random:
    return random.Random(1)  # noqa: S311  # the order of rounds


class Scripted(Peer):
    """A peer that copies, or does what the script says in that round: "lose" a file, "cut" one, or "fail"."""

    def __init__(self, label: str, script: tuple[str, ...] = (), *, absent: str = "") -> None:
        super().__init__(label)
        self._script = list(script)
        self._absent = absent
        self.log: list[str] = []

    def absence(self) -> str:
        return self._absent

    def prepare(self, places: object) -> None:  # noqa: ARG002  # it has no server
        self.log.append("prepare")

    def run(self, work: Work) -> Measurement:
        assert isinstance(work, Copy)
        self.log.append("run")
        act = self._script.pop(0) if self._script else ""
        assert not list(work.destination.iterdir()), "it is empty in every round"
        if act == "fail":
            raise CommandFailed("broken")
        for name in work.names[1 if act == "lose" else 0 :]:
            content = (work.source / name).read_bytes()
            (work.destination / name).write_bytes(content[:-1] if act == "cut" else content)
        return Measurement(work.size, work.files, 2.0, 1.0, WHOLE_COMMAND)

    def clean(self) -> None:
        self.log.append("clean")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path / "disk", tmp_path / "memory")
    made.disk.mkdir()
    made.memory.mkdir()
    return made


def test_every_round_has_everybody_once_and_nothing_is_left(places: Places) -> None:
    peers = (Scripted("a"), Scripted("b"), Scripted("c"))
    result = hold(Contest("x", Files(3, 10, source=DISK), peers), places, 5, chance(), lambda _: None)
    assert [list(measured) for measured in result.rounds] == [["a", "b", "c"]] * 5
    for peer in peers:
        assert peer.log == ["prepare", *["run"] * 5, "clean"]
    assert not list(places.disk.iterdir()) + list(places.memory.iterdir())
    assert not result.absent


def test_the_order_is_by_chance(places: Places) -> None:
    said: list[str] = []
    hold(Contest("x", Files(1, 1), (Scripted("a"), Scripted("b"))), places, 12, chance(), said.append)
    first = [line.split()[5] for line in said[::2]]
    assert set(first) == {"a", "b"}


@pytest.mark.parametrize(("act", "why"), [("fail", "broken"), ("lose", "2 of 3 files"), ("cut", "27 of 30 bytes")])
def test_a_peer_that_does_not_do_its_work_is_out_and_the_others_go_on(places: Places, act: str, why: str) -> None:
    bad = Scripted("bad", ("", act))
    result = hold(Contest("x", Files(3, 10), (Scripted("good"), bad)), places, 4, chance(), lambda _: None)
    assert len(result.values("good", result.figure)) == 4
    assert len(result.values("bad", result.figure)) == 1
    assert why in result.absent["bad"]
    assert "round 2" in result.absent["bad"]
    assert bad.log[-1] == "clean"
    # Only rounds that both were in make pairs.
    ratio = result.ratio("good", "bad", result.figure)
    assert ratio is not None
    assert ratio.count == 1


def test_a_peer_that_is_not_installed_is_told_of(places: Places) -> None:
    absent = Scripted("absent", absent="rsync not installed (Debian: rsync)")
    result = hold(Contest("x", Files(1, 1), (absent, Scripted("a"))), places, 1, chance(), lambda _: None)
    assert result.absent == {"absent": "rsync not installed (Debian: rsync)"}
    assert not absent.log
    assert result.labels() == ["a"]


def test_servers_are_stopped_when_a_contest_is_interrupted(places: Places) -> None:
    class Interrupted(Scripted):
        def run(self, work: Work) -> Measurement:
            super().run(work)
            raise KeyboardInterrupt

    peers = (Scripted("a"), Interrupted("b"))
    with pytest.raises(KeyboardInterrupt):
        hold(Contest("x", Files(1, 1), peers), places, 1, chance(), lambda _: None)
    assert [peer.log[-1] for peer in peers] == ["clean", "clean"]
    assert not list(places.memory.iterdir())


def test_no_two_pieces_of_large_files_are_alike(places: Places) -> None:
    with laid_out(Files(2, 3_000_000), places) as copy:
        contents = [(copy.source / name).read_bytes() for name in copy.names]
    pieces = [content[at : at + 8] for content in contents for at in range(0, 3_000_000, 1 << 20)]
    assert len(set(pieces)) == len(pieces)
    assert {len(content) for content in contents} == {3_000_000}


def test_files_say_what_they_are() -> None:
    assert str(Files(2000, 16384)) == "2,000 files of 16.0 KiB, tmpfs -> tmpfs"
    assert str(Files(1, 1 << 30, source=DISK)) == "1 file of 1.00 GiB, page cache -> tmpfs"
    assert str(Files(1, 1, destination=DISK, is_durable=True)) == "1 file of 1 B, tmpfs -> disk, until durable"


def test_what_has_left_the_page_cache_is_read_again(places: Places) -> None:
    with laid_out(Files(1, 5_000_000, source=DISK), places) as copy:
        warm(copy)
        with (copy.source / copy.names[0]).open("rb") as file:
            assert _is_cached(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            warm(copy)
            assert _is_cached(file.fileno())
