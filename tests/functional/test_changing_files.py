"""What changes under a transfer: the source, the room on the disk, the end of a journal."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fdtcp.model.order import Outcome, Policy, State
from fdtd.storage.names import journal_name, partial_name
from tests.helpers.dataset import is_same, make_file
from tests.helpers.disks import journalled, small_disk, wait_journalled
from tests.helpers.hasty import HASTY
from tests.helpers.movers import Job, Pair

MIB = 1 << 20


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 + 1)


def rewrite(path: Path) -> None:
    """Write other bytes of the same length, and put the time back."""
    status = path.stat()
    with path.open("r+b") as file:
        file.write(os.urandom(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(path: Path) -> None:
    """Put another file of the same length and time in its place."""
    status = path.stat()
    other = path.with_name("other")
    other.write_bytes(os.urandom(status.st_size))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)


def grow_and_shrink(path: Path) -> None:
    """Append, and cut it off again."""
    size = path.stat().st_size
    append(path)
    os.truncate(path, size)


def check_changed(outcome: Outcome, target: Path) -> None:
    assert outcome.state is State.FAILED, outcome
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.retryable) == ("source-changed", True)
    assert not target.exists()
    assert not target.parent.exists() or os.listdir(target.parent) == []


def wait_begun(target: Path) -> None:
    """Wait until the first bytes of a file are at the destination."""
    deadline = time.monotonic() + 20
    while not [path for path in target.parent.glob(".*.part") if path.stat().st_size]:
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.005)  # a poll with a deadline


@pytest.mark.parametrize("change", [append, truncate, rewrite, grow_and_shrink])
def test_a_large_source_that_changes_while_it_is_read_is_not_done(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    source, target = make_file(tmp_path / "source", 3 * MIB), tmp_path / "to/target"
    with Job([(source, target)], Policy(rate_limit=4 * MIB, block_size=256 << 10)) as job:
        job.start()
        wait_begun(target)
        change(source)
        job.writer.wait_end()
        check_changed(job.writer.outcomes[0], target)


@pytest.mark.parametrize("change", [append, truncate, rewrite, replace, grow_and_shrink])
def test_sources_that_change_before_they_are_read_are_not_done_and_the_next_attempt_is(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    names = ["small", "large", "other-small"]
    sizes = [1000, MIB, 2000]
    pairs: list[Pair] = [
        (make_file(tmp_path / "from" / name / name, size), tmp_path / "to" / name / name)
        for name, size in zip(names, sizes, strict=True)
    ]
    with Job(pairs) as job:
        job.describe()
        job.expect()
        for source, _ in pairs[:2]:
            change(Path(os.fsdecode(source)))
        job.connect()
        job.release()
        job.writer.wait_end()
        outcomes = job.writer.outcomes
        for index in (0, 1):
            check_changed(outcomes[index], tmp_path / "to" / names[index] / names[index])
        assert outcomes[2].state is State.DONE
    with Job(pairs) as job:
        states = {index: outcome.state for index, outcome in job.run().items()}
    assert states == {0: State.DONE, 1: State.DONE, 2: State.SKIPPED}
    assert all(is_same(Path(os.fsdecode(source)), Path(os.fsdecode(target))) for source, target in pairs)


def fill(path: Path) -> None:
    """Take all the space that there is."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(64 << 10)):
                pass
        except OSError:
            pass  # full


@pytest.mark.root
def test_what_met_a_full_disk_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    size = 8 * MIB + 4321
    source = make_file(tmp_path / "source", size)
    with small_disk(tmp_path / "disk", "16m") as disk:
        target = disk / "to/target"
        policy = Policy(rate_limit=8 * MIB, block_size=128 << 10)
        with Job([(source, target)], policy, writer_command=HASTY) as job:
            job.start()
            wait_journalled(target, MIB)
            fill(disk / "filler")
            job.writer.wait_end()
            problem = job.writer.outcomes[0].problem
            assert problem is not None and (problem.code, problem.retryable) == ("destination-full", True)
            kept = journalled(target)
            assert job.writer.kept == [(os.fsencode(target.parent) + b"/" + partial_name(b"target"), kept)]
        with Job([(source, target)]) as job:  # it is still full
            verdict = (job.describe(), job.expect())[1][0]
            assert verdict.problem is not None and verdict.problem.code == "destination-full"
        assert journalled(target) == kept
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        with Job([(source, target)]) as job:
            outcome = job.run()[0]
        assert outcome.state is State.DONE
        assert (outcome.kept, outcome.moved) == (kept, size - kept)
        assert is_same(source, target)
        assert os.listdir(target.parent) == ["target"]


def test_a_journal_whose_tail_is_torn_is_believed_before_and_after(tmp_path: Path) -> None:
    """As after a crash of the host; what later attempts add is not lost behind it."""
    size = 8 * MIB
    source, target = make_file(tmp_path / "source", size), tmp_path / "to/target"
    policy = Policy(rate_limit=16 * MIB, block_size=128 << 10)
    kept = 0
    for torn in (b"torn", bytes(24), b"x" * 30):
        with Job([(source, target)], policy, writer_command=HASTY) as job:
            job.start()
            wait_journalled(target, kept + 512 * 1024)
            job.writer.process.kill()
        kept = journalled(target)
        with (target.parent / os.fsdecode(journal_name(b"target"))).open("ab") as journal:
            journal.write(torn)
    with Job([(source, target)]) as job:
        outcome = job.run()[0]
    assert (outcome.state, outcome.kept) == (State.DONE, kept)
    assert is_same(source, target)
