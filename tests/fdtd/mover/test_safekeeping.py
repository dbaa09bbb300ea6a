"""What is kept when a mover is killed, stopped or cut off, and how the next attempt goes on from it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fdtcp.model.order import Checksum, Outcome, Policy, State, Stop
from tests.helpers.movers import Job

MIB = 1 << 20
SIZE = 24 * MIB

# Slow enough that the first checkpoint (after a second) finds most of the file unsent, also on a busy machine.
SLOW = Policy(rate_limit=3 * MIB, block_size=MIB)
FAST = Policy(block_size=2 * MIB)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").write_bytes(os.urandom(SIZE))
    return tmp_path / "source"


def left_in(directory: Path) -> set[str]:
    return {path.name.rsplit(".", 1)[1] for path in directory.iterdir()}


def wait_journal(directory: Path) -> None:
    """Wait until a journal with at least one record exists."""
    deadline = time.monotonic() + 20
    while not [path for path in directory.glob(".*.journal") if len(path.read_bytes().partition(b"\n")[2]) >= 24]:
        assert time.monotonic() < deadline, "no journal"
        time.sleep(0.02)  # a poll with a deadline


def begin(source: Path, target: Path) -> Job:
    """Return a job that is under way and has something journalled."""
    job = Job([(source, target)], SLOW).__enter__()
    job.start()
    job.writer.wait_until(lambda progress: progress.moved > 0)
    wait_journal(target.parent)
    return job


def finish(source: Path, target: Path) -> Outcome:
    with Job([(source, target)], FAST) as job:
        outcome = job.run()[0]
    assert outcome.state is State.DONE
    assert target.read_bytes() == source.read_bytes()
    assert os.listdir(target.parent) == [target.name]
    return outcome


@pytest.mark.parametrize("victim", ["reader", "writer"])
def test_after_a_kill_the_next_attempt_goes_on(tmp_path: Path, source: Path, victim: str) -> None:
    target = tmp_path / "to/target"
    policy = SLOW
    job = begin(source, target)
    try:
        assert policy == job.policy
        getattr(job, victim).process.send_signal(signal.SIGKILL)
        if victim == "reader":
            job.writer.say(Stop(discard=False))
            job.writer.wait_end()
            assert job.writer.kept
    finally:
        job.__exit__(None, None, None)
    assert left_in(target.parent) == {"part", "journal"}
    outcome = finish(source, target)
    assert outcome.kept > 0 and outcome.kept + outcome.moved == SIZE


def test_end_of_file_on_stdin_ends_the_writer_within_two_seconds(tmp_path: Path, source: Path) -> None:
    target = tmp_path / "to/target"
    job = begin(source, target)
    try:
        assert job.writer.process.stdin is not None
        began = time.monotonic()
        job.writer.process.stdin.close()
        job.writer.process.wait(5)
        assert time.monotonic() - began < 2.0
    finally:
        job.reader.__exit__(None, None, None)
        assert job.writer.process.stdout is not None
        job.writer.process.stdout.close()
        job.writer.log.close()
    assert left_in(target.parent) == {"part", "journal"}
    assert finish(source, target).kept > 0


def test_a_small_file_without_a_journal_does_not_stay(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(os.urandom(200_000))
    (tmp_path / "large").write_bytes(os.urandom(4 * MIB))
    pairs = [(tmp_path / "large", tmp_path / "to/large"), (tmp_path / "source", tmp_path / "to/target")]
    with Job(pairs, Policy(rate_limit=MIB, block_size=MIB)) as job:
        job.start()
        job.writer.wait_until(lambda progress: progress.moved > 0)
        assert job.writer.process.stdin is not None
        job.writer.process.stdin.close()
        job.writer.process.wait(5)
    assert {path.name for path in (tmp_path / "to").iterdir() if "target" in path.name} <= {"target"}


def test_discard_removes_what_could_have_been_continued(tmp_path: Path, source: Path) -> None:
    target = tmp_path / "to/target"
    job = begin(source, target)
    try:
        job.writer.say(Stop(discard=True))
        job.writer.wait_end()
        assert not job.writer.kept
    finally:
        job.__exit__(None, None, None)
    assert not os.listdir(target.parent)


def test_a_changed_source_starts_from_zero(tmp_path: Path, source: Path) -> None:
    target = tmp_path / "to/target"
    job = begin(source, target)
    job.writer.process.kill()
    job.__exit__(None, None, None)
    source.write_bytes(os.urandom(SIZE))
    assert finish(source, target).kept == 0


def test_a_damaged_partial_is_not_believed(tmp_path: Path, source: Path) -> None:
    """The journal's sums are compared with the source's: what the journal says of other bytes is sent again."""
    target = tmp_path / "to/target"
    job = begin(source, target)
    job.writer.process.kill()
    job.__exit__(None, None, None)
    status = source.stat()
    with source.open("r+b") as file:  # another content, and the same size and time
        file.write(b"0" * MIB)
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    outcome = finish(source, target)
    assert outcome.kept < SIZE // 2


def test_a_partial_in_use_is_busy(tmp_path: Path, source: Path) -> None:
    target = tmp_path / "to/target"
    job = begin(source, target)
    try:
        with Job([(source, target)], FAST) as second:
            problem = second.run()[0].problem
        assert problem is not None and (problem.code, problem.retryable) == ("destination-busy", True)
        assert left_in(target.parent) == {"part", "journal"}
    finally:
        job.__exit__(None, None, None)


@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_a_partial_that_somebody_removes_is_noticed(tmp_path: Path, source: Path, what: str) -> None:
    target = tmp_path / "to/target"
    with Job([(source, target)], SLOW) as job:
        job.start()
        job.writer.wait_until(lambda progress: progress.moved > 0)
        (partial,) = target.parent.glob(".*.part")
        partial.unlink()
        if what == "replaced":
            partial.write_bytes(bytes(SIZE))
        job.writer.wait_end()
        problem = job.writer.outcomes[0].problem
    assert problem is not None and problem.code == "destination-vanished"
    assert not target.exists()


def test_a_destination_that_appears_meanwhile_is_not_replaced(tmp_path: Path, source: Path) -> None:
    target = tmp_path / "to/target"
    with Job([(source, target)], SLOW) as job:
        job.start()
        job.writer.wait_until(lambda progress: progress.moved > 0)
        target.write_bytes(b"mine")
        job.writer.wait_end()
        problem = job.writer.outcomes[0].problem
    assert problem is not None and problem.code == "destination-exists"
    assert target.read_bytes() == b"mine"
    assert os.listdir(target.parent) == ["target"]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Mount a file system of 4 MiB."""
    directory = tmp_path / "tiny"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", directory], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("may not mount")
    return directory


@pytest.mark.root
def test_a_full_destination_fails_the_files_that_do_not_fit(tmp_path: Path, tiny: Path) -> None:
    try:
        pairs = []
        for name, size in (("a", 2 * MIB), ("b", 6 * MIB), ("c", 1000)):
            (tmp_path / name).write_bytes(os.urandom(size))
            pairs.append((tmp_path / name, tiny / "to" / name))
        with Job(pairs) as job:
            outcomes = job.run()
        assert [outcomes[index].state for index in range(3)] == [State.DONE, State.FAILED, State.DONE]
        problem = outcomes[1].problem
        assert problem is not None and (problem.code, problem.phase) == ("destination-full", "pre-flight")
    finally:
        subprocess.run(["umount", tiny], check=True)


@pytest.mark.root
@pytest.mark.parametrize("checksum", [Checksum.ADLER32, Checksum.NONE])
@pytest.mark.parametrize("size", [200_000, 3 * MIB])
def test_a_destination_that_fills_up_meanwhile_fails_and_leaves_nothing(
    tmp_path: Path, tiny: Path, size: int, checksum: Checksum
) -> None:
    try:
        (tmp_path / "a").write_bytes(os.urandom(size))
        with Job([(tmp_path / "a", tiny / "to/a")], Policy(checksum=checksum, block_size=MIB)) as job:
            job.describe()
            job.expect()
            with (tiny / "filler").open("wb") as filler:
                filler.write(bytes(4 * MIB - 100_000))
            job.connect()
            job.release()
            job.writer.wait_end()
            assert job.reader.wait_end().problem is None
            problem = job.writer.outcomes[0].problem
        assert problem is not None and (problem.code, problem.retryable) == ("destination-full", True)
        assert not os.listdir(tiny / "to")
    finally:
        subprocess.run(["umount", tiny], check=True)


def test_a_stale_partial_without_a_journal_is_started_over(tmp_path: Path, source: Path) -> None:
    from fdtd.storage.names import journal_name, partial_name

    (tmp_path / "to").mkdir()
    stale = tmp_path / "to" / os.fsdecode(partial_name(b"target"))
    stale.write_bytes(b"z" * (SIZE + 5))
    (tmp_path / "to" / os.fsdecode(journal_name(b"target"))).write_bytes(b"nonsense")
    assert finish(source, tmp_path / "to/target").kept == 0


def test_the_lock_is_what_claims_a_destination(tmp_path: Path, source: Path) -> None:
    from fdtd.storage.names import partial_name

    (tmp_path / "to").mkdir()
    with (tmp_path / "to" / os.fsdecode(partial_name(b"target"))).open("wb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with Job([(source, tmp_path / "to/target")]) as job:
            job.describe()
            verdict = job.expect()[0]
        assert verdict.problem is not None and verdict.problem.code == "destination-busy"
