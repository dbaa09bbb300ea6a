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
        assert outcome.state is State.SKIPPED and outcome.checksum.startswith("adler32:")
    else:
        assert outcome.problem is not None and outcome.problem.code == "destination-exists"
