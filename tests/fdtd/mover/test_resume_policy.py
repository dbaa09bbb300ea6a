"""What becomes of what an earlier attempt has left, as the policy says, with real movers."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import pytest

from fdtcp.model.order import Checksum, DestinationFile, Extent, OnExists, Policy, Resume, State
from fdtd.mover.journal import Identity, encode_records, encode_start
from fdtd.storage.names import journal_name, partial_name
from tests.helpers.movers import Job

MIB = 1 << 20
SIZE = 4 * MIB


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").write_bytes(os.urandom(SIZE))
    return tmp_path / "source"


def leave_half(source: Path, target: Path, extents: tuple[tuple[int, int], ...] = ((0, 2 * MIB),)) -> None:
    """Leave what an attempt of ours would have, with these parts safe."""
    target.parent.mkdir()
    partial = target.parent / os.fsdecode(partial_name(b"target"))
    content = source.read_bytes()
    partial.write_bytes(content[: SIZE // 2] + bytes(SIZE // 2))
    facts = source.stat()
    file = DestinationFile(0, os.fsencode(target), SIZE, facts.st_mtime_ns, 0o644, b"fdt://s" + os.fsencode(source))
    start = encode_start(Identity.of(file, Checksum.ADLER32, partial.stat().st_ino))
    records = [Extent(at, length, zlib.adler32(content[at : at + length])) for at, length in extents]
    (target.parent / os.fsdecode(journal_name(b"target"))).write_bytes(start + encode_records(records))


@pytest.mark.parametrize(("resume", "kept"), [(Resume.AUTO, SIZE // 2), (Resume.NEVER, 0), (Resume.REQUIRE, SIZE // 2)])
def test_what_can_be_continued_is_unless_it_shall_not_be(
    tmp_path: Path, source: Path, resume: Resume, kept: int
) -> None:
    target = tmp_path / "to/target"
    leave_half(source, target)
    with Job([(source, target)], Policy(resume=resume, keep_partials=False)) as job:
        outcome = job.run()[0]
    assert (outcome.state, outcome.kept, outcome.moved) == (State.DONE, kept, SIZE - kept)
    assert target.read_bytes() == source.read_bytes()
    assert os.listdir(target.parent) == ["target"]


def test_what_shall_not_be_continued_is_removed_before_anything_moves(tmp_path: Path, source: Path) -> None:
    target = tmp_path / "to/target"
    leave_half(source, target)
    with Job([(source, target)], Policy(resume=Resume.NEVER)) as job:
        job.describe()
        assert job.expect()[0].kept == ()
        assert not os.listdir(target.parent)


@pytest.mark.parametrize("checksum", [Checksum.CRC32, Checksum.ADLER32])
def test_what_cannot_be_continued_fails_the_file_where_that_is_required(
    tmp_path: Path, source: Path, checksum: Checksum
) -> None:
    """Another checksum, or another state of the source: then half a day's bytes are not thrown away."""
    target = tmp_path / "to/target"
    leave_half(source, target)
    if checksum is Checksum.ADLER32:
        os.utime(source, ns=(1, 1))
    with Job([(source, target)], Policy(resume=Resume.REQUIRE, checksum=checksum)) as job:
        problem = job.run()[0].problem
    assert problem is not None and (problem.code, problem.retryable) == ("resume-refused", False)
    assert "2.00 MiB" in problem.reason and "--resume auto" in problem.remedy
    assert len(os.listdir(target.parent)) == 2
    with Job([(source, target)], Policy(checksum=checksum)) as job:
        assert job.run()[0].state is State.DONE
    assert os.listdir(target.parent) == ["target"]


@pytest.mark.parametrize("extents", [(), ((SIZE, MIB),)])
def test_what_has_nothing_safe_in_it_is_started_over(
    tmp_path: Path, source: Path, extents: tuple[tuple[int, int], ...]
) -> None:
    target = tmp_path / "to/target"
    leave_half(source, target, extents)
    with Job([(source, target)], Policy(resume=Resume.REQUIRE)) as job:
        assert (job.run()[0].state, job.verdicts[0].kept) == (State.DONE, ())


def test_nothing_left_is_nothing_to_be_required(tmp_path: Path, source: Path) -> None:
    with Job([(source, tmp_path / "to/target")], Policy(resume=Resume.REQUIRE)) as job:
        assert job.run()[0].state is State.DONE


def test_an_older_file_and_a_partial_beside_it(tmp_path: Path, source: Path) -> None:
    target = tmp_path / "to/target"
    leave_half(source, target)
    target.write_bytes(b"older")
    with Job([(source, target)], Policy(on_exists=OnExists.OVERWRITE)) as job:
        outcome = job.run()[0]
    assert (outcome.state, outcome.kept) == (State.DONE, SIZE // 2)
    assert target.read_bytes() == source.read_bytes()
