"""The roads that large files take to their disk, each from end to end."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fdtcp.model.order import Checksum, Direct, Policy, State
from tests.helpers.movers import Job

CONTENT = os.urandom((5 << 20) + 1234)


@pytest.mark.parametrize("checksum", [Checksum.ADLER32, Checksum.NONE])
@pytest.mark.parametrize("place", ["disk", "memory"])
def test_what_is_written_past_the_page_cache_is_the_same(tmp_path: Path, place: str, checksum: Checksum) -> None:
    with TemporaryDirectory(dir="/dev/shm") as memory:
        source, target = tmp_path / "source", (tmp_path if place == "disk" else Path(memory)) / "target"
        source.write_bytes(CONTENT)
        check_direct(source, target, checksum)


def check_direct(source: Path, target: Path, checksum: Checksum) -> None:
    with Job([(source, target)], Policy(direct=Direct.YES, checksum=checksum, block_size=1 << 20)) as job:
        assert job.run()[0].state is State.DONE
        # The word of the log is that of the file system: some refuse.
        assert "direct" in job.writer.read_log()
    assert target.read_bytes() == CONTENT
    assert target.stat().st_size == len(CONTENT)
