from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from authsvc.watchedfile import Parsed


class Counting:
    """A parser that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, content: bytes) -> str:
        self.asked += 1
        if content == b"bad":
            raise ValueError("a bad file")
        return content.decode()


def wait_old(path: Path) -> None:
    while time.time_ns() - path.stat().st_ctime_ns < 40_000_000:
        os.sched_yield()


def test_a_file_is_parsed_once_a_version(tmp_path: Path) -> None:
    parser = Counting()
    files = Parsed(parser, 100)
    path = tmp_path / "file"
    path.write_text("one")
    wait_old(path)
    assert [files.load(str(path)) for _ in range(3)] == ["one"] * 3
    assert parser.asked == 1
    path.write_text("two")
    assert files.load(str(path)) == "two"


def test_a_file_that_is_rewritten_within_a_tick_is_seen(tmp_path: Path) -> None:
    files = Parsed(Counting(), 100)
    path = tmp_path / "file"
    for number in range(200):
        path.write_text(f"{number % 10}")
        assert files.load(str(path)) == f"{number % 10}"


def test_a_bad_version_stays_bad_until_it_changes(tmp_path: Path) -> None:
    parser = Counting()
    files = Parsed(parser, 100)
    path = tmp_path / "file"
    path.write_text("bad")
    wait_old(path)
    for _ in range(3):
        with pytest.raises(ValueError, match="a bad file"):
            files.load(str(path))
    assert parser.asked == 1
    path.write_text("good")
    assert files.load(str(path)) == "good"


def test_a_file_that_goes_is_missed_at_once(tmp_path: Path) -> None:
    files = Parsed(Counting(), 100)
    path = tmp_path / "file"
    path.write_text("one")
    assert files.load(str(path)) == "one"
    path.unlink()
    with pytest.raises(FileNotFoundError):
        files.load(str(path))


def test_what_is_no_proper_file_is_refused(tmp_path: Path) -> None:
    files = Parsed(Counting(), 100)
    path = tmp_path / "file"
    path.write_text("x" * 101)
    with pytest.raises(ValueError, match="more than 100 bytes"):
        files.load(str(path))
    path.write_text("x")
    path.chmod(0o666)
    with pytest.raises(ValueError, match="anybody can change it"):
        files.load(str(path))
    with pytest.raises(ValueError, match="regular"):
        files.load(str(tmp_path))
