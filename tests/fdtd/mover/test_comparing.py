"""Files that exist at the destination, compared over several streams between two real movers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fdtcp.model.order import Checksum, Policy, State
from tests.helpers.movers import Job

MIB = 1 << 20


@pytest.mark.parametrize("differs_at", [None, 0, 70 * MIB, 130 * MIB - 1])
def test_any_byte_makes_the_difference(tmp_path: Path, differs_at: int | None) -> None:
    block = os.urandom(MIB)
    for name in ("source", "target"):
        with (tmp_path / name).open("wb") as file:
            for _ in range(130):
                file.write(block)
    if differs_at is not None:
        with (tmp_path / "target").open("r+b") as file:
            file.seek(differs_at)
            file.write(bytes([block[differs_at % MIB] ^ 1]))
    policy = Policy(checksum=Checksum.NONE, streams=3)
    with Job([(tmp_path / "source", tmp_path / "target")], policy) as job:
        outcome = job.run()[0]
        assert job.reader_end.problem is None
    if differs_at is None:
        assert outcome.state is State.SKIPPED and outcome.checksum.startswith("crc32:")
    else:
        assert outcome.problem is not None and outcome.problem.code == "destination-exists"


@pytest.mark.parametrize("checksum", list(Checksum))
def test_a_change_that_adler32_cannot_see_makes_the_difference(tmp_path: Path, checksum: Checksum) -> None:
    (tmp_path / "source").write_bytes(b"run=131 events")
    (tmp_path / "target").write_bytes(b"run=212 events")
    with Job([(tmp_path / "source", tmp_path / "target")], Policy(checksum=checksum)) as job:
        outcome = job.run()[0]
    assert outcome.problem is not None and outcome.problem.code == "destination-exists"


@pytest.mark.parametrize("size", [0, MIB])
def test_what_grew_after_pre_flight_is_not_the_same(tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for path in (source, target):
        path.write_bytes(b"x" * size)
    with Job([(source, target)]) as job:
        job.describe()
        job.expect()
        with target.open("ab") as file:
            file.write(b"more")
        job.connect()
        job.release()
        job.writer.wait_end()
        problem = job.writer.outcomes[0].problem
    assert problem is not None and problem.code == "destination-exists"
    assert target.read_bytes() == b"x" * size + b"more"
