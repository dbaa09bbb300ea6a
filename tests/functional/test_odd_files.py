"""Files that are not what one thinks of: that change, that are full of holes, huge, many, empty, or oddly named."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from zlib_ng import zlib_ng

from fdtcp import Client
from fdtcp.model.order import Outcome, Policy, State
from fdtd.mover.journal import decode_journal
from fdtd.storage.names import journal_name, partial_name
from fdtd.storage.null import NULL
from tests.helpers.clilab import CliLab, cli_lab
from tests.helpers.dataset import is_same, make_file
from tests.helpers.movers import Job, Mover, Pair

MIB = 1 << 20
GIB = 1 << 30

# A writer that journals early, so that a transfer of a second can be continued.
HASTY: Final = (
    sys.executable,
    "-I",
    "-c",
    "import os; from fdtd.mover import program, safekeeping as s;"
    "s.FIRST_CHECKPOINT_S, s.CHECKPOINT_S, s._TICK_S = 0.03, 0.05, 0.01; os._exit(program.main())",
)

# --- sources that change ------------------------------------------------------------------------------------------


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


# --- a disk that is full, and then is not -------------------------------------------------------------------------


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def fill(path: Path) -> None:
    """Take all the space that there is."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(64 << 10)):
                pass
        except OSError:
            pass  # full


def journalled(target: Path) -> int:
    journal = target.parent / os.fsdecode(journal_name(os.fsencode(target.name)))
    return sum(extent.length for extent in decode_journal(journal.read_bytes(), None)) if journal.exists() else 0


def wait_journalled(target: Path, least: int) -> None:
    deadline = time.monotonic() + 20
    while journalled(target) < least:
        assert time.monotonic() < deadline, "nothing was journalled"
        time.sleep(0.01)  # a poll with a deadline


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
        states = {outcome.state for outcome in job.writer.outcomes.values()}
    seconds = time.monotonic() - began
    print(f"100,000 files in {seconds:.1f} s, peaks in MiB {peaks}")  # noqa: T201  # shown with -s
    assert states == {State.DONE}
    assert max(peaks.values()) < 200
    assert all(Path(os.fsdecode(to)).read_bytes() == Path(os.fsdecode(source)).read_bytes() for source, to in pairs)


# --- names --------------------------------------------------------------------------------------------------------

ODD_NAMES: Final = [
    *[bytes([byte]) for byte in range(1, 256) if byte not in b"/."],
    b"a" * 255,
    b"a" * 254 + b"b",  # the same when it is cut
    b"\xff" * 255,
    "é".encode() * 127 + b"x",
    b"\n" * 255,
    b"-rf",
    b"--help",
    b"...",
    b"..a",
    b".hidden",
    b" leading and trailing ",
    b"two\nlines\r\n",
    b"%2e%2e%2f",
    b"$(reboot);`id`|&>x",
    b"\\..\\x",
    b"\xe6\x97\xa5\xe6\x9c\xac\xff",
    b"\xed\xa0\x80",  # half a surrogate pair
    b"\xf4\x90\x80\x80",  # beyond Unicode
    b"\xc0\xaf",  # a slash, to sloppy decoders
    b'"quoted"',
    b"fdt:",
    b"[x]{y}*?",
    b".x.part",
    b".x.fdt-0123456789",
]


@pytest.fixture(scope="module")
def lab() -> Iterator[CliLab]:
    with cli_lab() as made:
        yield made


def make_odd(lab: CliLab) -> list[str]:
    base = lab.fresh()
    (lab.source / base).mkdir()
    names = [f"{base}/{os.fsdecode(name)}" for name in ODD_NAMES]
    for number, name in enumerate(names):
        (lab.source / name).write_bytes(f"content of {number}".encode() * 10)
    # One of them in a directory of an odd name, and large enough to be a block of its own.
    names.append(f"{base}-\n\udcff/x\ny")
    make_file(lab.source / names[-1], 300_000)
    return names


def check_odd(lab: CliLab, names: list[str]) -> None:
    for name in names:
        assert is_same(lab.source / name, lab.destination / name), repr(name)
    (base,) = {name.partition("/")[0] for name in names[:-1]}
    assert sorted(os.listdir(os.fsencode(lab.destination / base))) == sorted(ODD_NAMES)


def test_any_name_that_posix_allows_travels_through_a_json_copyjob(lab: CliLab) -> None:
    names = make_odd(lab)
    copyjob = lab.home / "copyjob.json"
    copyjob.write_text(
        json.dumps([dict(zip(("source", "destination"), lab.pair(name), strict=True)) for name in names])
    )
    ended = lab.run("-f", copyjob)
    assert ended.code == 0, ended.output
    assert set(ended.states()) == {"done"}
    assert [len(line) for line in ended.report] == [len(ended.report[0])] * len(names)
    check_odd(lab, names)
    again = lab.run("-f", copyjob)
    assert (again.code, set(again.states())) == (0, {"skipped"})


def test_any_name_that_posix_allows_travels_through_the_python_client(lab: CliLab) -> None:
    names = make_odd(lab)
    pairs = [tuple(os.fsencode(one) for one in lab.pair(name)) for name in names]
    result = Client(proxy=lab.lab.proxy, ca_dir=lab.lab.ca_dir).transfer([(source, to) for source, to in pairs])
    assert result.exit_code == 0, result.outcomes
    check_odd(lab, names)


def test_a_name_of_our_own_temporary_files_is_refused_as_a_destination(tmp_path: Path) -> None:
    """Else it would be taken for what is left of another destination: overwritten, or swept away."""
    partial, journal = (os.fsdecode(name(b"x")) for name in (partial_name, journal_name))
    long_ones = [os.fsdecode(partial_name(b"\xff" * 255))]
    names = [partial, journal, "x", *long_ones]
    pairs: list[Pair] = [(make_file(tmp_path / "from" / name, 1000), tmp_path / "to" / name) for name in names]
    with Job(pairs) as job:
        outcomes = job.run()
    problems = [outcomes[index].problem for index in range(len(names))]
    assert [problem.code if problem else "" for problem in problems] == ["path-refused"] * 2 + ["", "path-refused"]
    assert os.listdir(tmp_path / "to") == ["x"]
    assert is_same(tmp_path / "from/x", tmp_path / "to/x")


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
    from fdtcp.model.order import OnExists

    source = make_file(tmp_path / "source", 2 * MIB)
    target, other = make_file(tmp_path / "to/target", 100), tmp_path / "to/other"
    other.hardlink_to(target)
    before = other.read_bytes()
    with Job([(source, target)], Policy(on_exists=OnExists.OVERWRITE)) as job:
        assert job.run()[0].state is State.DONE
    assert is_same(source, target)
    assert other.read_bytes() == before
