"""The demonstration as a user runs it, with a small data set."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.helpers.clilab import wait_until


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a place of our own with a short name, so that what is left behind can be seen."""
    with TemporaryDirectory(prefix="fdt-demo-") as directory:
        yield Path(directory)


def start(place: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "fdtcp", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"TMPDIR": str(place)},
    )


def test_it_moves_compares_tells_and_leaves_only_the_report(place: Path) -> None:
    process = start(place, "--size", "20MiB")
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    for words in ("all files are safe", "2008 of 2008 files by SHA-256", "127.1.0.2 <-> 127.1.0.3", "127.2.0.2", "B/s"):
        assert words in output
    (report,) = place.iterdir()
    assert str(report) in output
    lines = report.read_text().splitlines()
    assert len(lines) == 2008
    assert {line.split()[2] for line in lines} == {"0"}
    assert any("%20" in line for line in lines)


def test_it_keeps_everything_where_it_is_told_to(place: Path) -> None:
    process = start(place, "--size", "1MiB", "--keep", str(place / "kept"))
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    assert {"ca", "source", "destination", "copyjob"} <= {path.name for path in (place / "kept").iterdir()}
    again = start(place, "--size", "1MiB", "--keep", str(place / "kept"))
    output, _ = again.communicate(timeout=100)
    assert again.returncode == 1
    assert "File exists" in output


def test_it_says_when_there_is_no_room(place: Path) -> None:
    process = start(place, "--size", "4096TiB")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "are needed" in output
    assert list(place.iterdir()) == []


def test_ctrl_c_cleans_up(place: Path) -> None:
    process = start(place, "--size", "200MiB")
    wait_until(lambda: list(place.glob("*/destination/data/**/*")))
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert time.monotonic() - began < 20
    assert process.returncode == 1
    assert "stopped by a signal" in output
    assert all(path.suffix == ".report" for path in place.iterdir())
