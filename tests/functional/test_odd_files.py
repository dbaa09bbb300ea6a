"""Files that are full of holes, huge, many, empty, or have several names."""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path

import pytest
from zlib_ng import zlib_ng

from fdtcp.model.order import OnExists, Policy, State
from fdtd.storage.null import NULL
from tests.helpers.dataset import is_same, make_file
from tests.helpers.disks import journalled, small_disk, wait_journalled
from tests.helpers.movers import Job, Mover, Pair

MIB = 1 << 20
GIB = 1 << 30


# --- holes and sizes ----------------------------------------------------------------------------------------------


def make_sparse(path: Path, size: int, islands: dict[int, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
        for offset, content in islands.items():
            os.pwrite(file.fileno(), content, offset)
    return path


def test_holes_arrive_as_zeros(tmp_path: Path) -> None:
    islands = {0: b"begin", 5 * MIB + 1: os.urandom(100_001), 20 * MIB - 3: os.urandom(7)}
    first = make_sparse(tmp_path / "from/first", 33 * MIB + 77, islands)
    second = make_sparse(tmp_path / "from/second", 9 * MIB + 1, {})
    third = make_sparse(tmp_path / "from/third", 200_000, {100_000: b"x"})
    pairs: list[Pair] = [(one, tmp_path / "to" / one.name) for one in (first, second, third)]
    with Job(pairs) as job:
        assert all(outcome.state is State.DONE for outcome in job.run().values())
    assert all(is_same(one, tmp_path / "to" / one.name) for one in (first, second, third))


@pytest.mark.long
def test_more_than_four_gib_are_summed_to_the_last_byte(tmp_path: Path) -> None:
    size = 4 * GIB + 1_234_567
    islands = {at: os.urandom(5) for at in (0, 2 * GIB - 2, 4 * GIB - 3, size - 5)}
    source = make_sparse(tmp_path / "source", size, islands)
    with Job([(source, NULL)]) as job:
        outcome = job.run()[0]
    assert (outcome.state, outcome.moved, outcome.checksum) == (State.DONE, size, f"adler32:{adler32(source):08x}")


def adler32(path: Path) -> int:
    value = 1
    with path.open("rb", buffering=0) as file:
        while data := file.read(4 * MIB):
            value = zlib_ng.adler32(data, value)
    return value


@pytest.mark.long
@pytest.mark.root
@pytest.mark.timeout(300)
def test_more_than_four_gib_arrive_byte_for_byte_and_are_continued_beyond_that(tmp_path: Path) -> None:
    size = 5 * GIB + 1_234_567
    islands = {at: os.urandom(11) for at in (0, 2 * GIB - 2, 4 * GIB - 3, 4 * GIB + 4 * MIB - 5, 5 * GIB, size - 11)}
    source = make_sparse(tmp_path / "source", size, islands)
    with small_disk(tmp_path / "disk", "6g") as disk:
        target = disk / "to/target"
        with Job([(source, target)], Policy(streams=2)) as job:
            job.start()
            wait_journalled(target, 1)
            job.writer.wait_until(lambda progress: progress.moved > 4 * GIB + 64 * MIB, 60.0)
            assert job.writer.process.stdin is not None
            job.writer.process.stdin.close()
            while job.writer.hear() is not None:
                pass
            (kept,) = [size for _, size in job.writer.kept]
        assert kept == journalled(target) > 4 * GIB
        with Job([(source, target)], Policy(streams=3, block_size=3_333_333)) as job:
            outcome = job.run()[0]
        assert (outcome.state, outcome.kept, outcome.moved) == (State.DONE, kept, size - kept)
        assert is_same(source, target)


# --- many ---------------------------------------------------------------------------------------------------------


def test_thousands_of_empty_files(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    pairs: list[Pair] = []
    for number in range(3000):
        (tmp_path / f"from/{number}").touch()
        pairs.append((tmp_path / f"from/{number}", tmp_path / f"to/{number % 10}/{number}"))
    with Job(pairs) as job:
        outcomes = job.run()
    assert len(outcomes) == 3000
    assert {(outcome.state, outcome.size) for outcome in outcomes.values()} == {(State.DONE, 0)}
    assert all(os.stat(target).st_size == 0 for _, target in pairs)
    assert sum(len(files) for _, _, files in os.walk(tmp_path / "to")) == 3000


def peak_mib(mover: Mover) -> float:
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{mover.process.pid}/status").read_text())
    return int(match[1]) / 1024 if match is not None else 0.0  # it has ended


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_hundred_thousand_files_need_little_memory(tmp_path: Path) -> None:
    content = os.urandom(1 << 20)
    pairs: list[Pair] = []
    for number in range(100_000):
        source = tmp_path / f"from/{number % 100}/{number}"
        if number < 100:
            source.parent.mkdir(parents=True)
        size = number % 1000
        source.write_bytes(content[number % 1_000_003 :][:size])
        pairs.append((source, tmp_path / f"to/{number % 100}/{number}"))
    began = time.monotonic()
    with Job(pairs) as job:
        job.start()
        peaks = {"reader": 0.0, "writer": 0.0}
        while len(job.writer.outcomes) < 100_000:
            peaks = {name: max(peak, peak_mib(getattr(job, name))) for name, peak in peaks.items()}
            assert job.writer.hear(120.0) is not None
        assert job.writer.wait_end(60.0).problem is None
        assert job.reader.wait_end(60.0).problem is None
        problems = {outcome.problem for outcome in job.writer.outcomes.values() if outcome.state is not State.DONE}
    seconds = time.monotonic() - began
    print(f"100,000 files in {seconds:.1f} s, peaks in MiB {peaks}")  # noqa: T201  # shown with -s
    assert not problems
    assert max(peaks.values()) < 200
    assert all(Path(os.fsdecode(to)).read_bytes() == Path(os.fsdecode(source)).read_bytes() for source, to in pairs)


# --- links --------------------------------------------------------------------------------------------------------


def test_hard_links_are_files_of_their_own_at_the_destination(tmp_path: Path) -> None:
    pairs: list[Pair] = []
    for size in (0, 1000, MIB):
        first = make_file(tmp_path / f"from/{size}", size)
        for number in range(3):
            link = first.with_name(f"{size}-{number}")
            link.hardlink_to(first)
            pairs.append((link, tmp_path / "to" / link.name))
    with Job(pairs) as job:
        assert all(outcome.state is State.DONE for outcome in job.run().values())
    for source, target in pairs:
        assert is_same(Path(os.fsdecode(source)), Path(os.fsdecode(target)))
        assert os.stat(target).st_nlink == 1


def test_a_destination_that_has_another_name_is_replaced_under_the_one_that_was_asked_for(tmp_path: Path) -> None:
    source = make_file(tmp_path / "source", 2 * MIB)
    target, other = make_file(tmp_path / "to/target", 100), tmp_path / "to/other"
    other.hardlink_to(target)
    before = other.read_bytes()
    with Job([(source, target)], Policy(on_exists=OnExists.OVERWRITE)) as job:
        assert job.run()[0].state is State.DONE
    assert is_same(source, target)
    assert other.read_bytes() == before


@pytest.mark.parametrize(("size", "prefixes"), [(1000, [""]), (3 * MIB, [""]), (1000, ["", "to"])])
def test_a_file_is_done_only_where_its_path_leads(tmp_path: Path, size: int, prefixes: list[str]) -> None:
    """A directory that is moved away while a job writes to it takes files with it, which used to be called done.

    It may be one that the site allows by itself.
    """
    pairs: list[Pair] = []
    for number in range(4):
        (tmp_path / str(number)).write_bytes(os.urandom(size))
        pairs.append((tmp_path / str(number), tmp_path / ("to" if number % 2 else "stays") / str(number)))
    for name in ("to", "stays"):
        (tmp_path / name).mkdir()
    allowed = tuple(os.fsencode(tmp_path / name) for name in prefixes)
    with Job(pairs, Policy(block_size=MIB), allowed) as job:
        job.describe()
        job.expect()
        # The writer has looked, and has the directory open.
        (tmp_path / "to").rename(tmp_path / "aside")
        (tmp_path / "to").mkdir()
        job.connect()
        job.release()
        job.writer.wait_end()
        job.reader.wait_end()
        outcomes = job.writer.outcomes
    for number in (1, 3):
        failed = outcomes[number].problem
        assert failed is not None and failed.code == "destination-vanished" and failed.retryable
    assert not os.listdir(tmp_path / "aside") and not os.listdir(tmp_path / "to")
    assert sorted(os.listdir(tmp_path / "stays")) == ["0", "2"]
    assert [outcomes[number].state for number in (0, 2)] == [State.DONE, State.DONE]


def test_a_time_that_cannot_be_told_fails_its_file_and_no_other(tmp_path: Path) -> None:
    """File systems have years that 64 bits of nanoseconds have not: one such file used to end its job."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as large_times:
        pairs: list[Pair] = []
        for number in range(3):
            source = make_file(Path(large_times) / str(number), 1000)
            pairs.append((source, tmp_path / "to" / str(number)))
        os.utime(pairs[1][0], (4e10, 4e10))
        if os.stat(pairs[1][0]).st_mtime < 3e10:
            pytest.skip("this file system has no such years")
        with Job(pairs) as job:
            outcomes = job.run()
        problem = job.found[1].problem
    assert problem is not None and problem.code == "source-failed" and "which cannot be told" in problem.reason
    assert {number: one.state for number, one in outcomes.items()} == {0: State.DONE, 2: State.DONE}
