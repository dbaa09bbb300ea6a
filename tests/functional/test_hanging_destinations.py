"""Destinations that hang while a file is written, as a dead NFS mount does."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import pytest

from fdtcp.errors import Phase, Side
from fdtcp.model.order import Policy, State
from tests.helpers.movers import Job, Pair

MIB: Final = 1 << 20

# A writer for which files that are called dead... hang while they are written.
HANGS: Final = """
import os, threading
from fdtd.mover import program
from fdtd.storage.posix_bundle import PosixBundle
from fdtd.storage.posix_partial import PosixPartial

def hang(method, path_of):
    def call(self, *values):
        if b"dead" in path_of(self, *values):
            threading.Event().wait()
        return method(self, *values)
    return call

PosixBundle.write = hang(PosixBundle.write, lambda self, path, *_: path)
PosixPartial.write = hang(PosixPartial.write, lambda self, *_: self.path)
os._exit(program.main())
"""


@pytest.mark.parametrize("size", [1000, 4 * MIB])
def test_a_write_that_hangs_ends_the_job_and_says_so(tmp_path: Path, size: int) -> None:
    """Streams used to be opened again and again, and nothing said why nothing moved."""
    (tmp_path / "hang.py").write_text(HANGS)
    pairs: list[Pair] = []
    for name in ("large", "dead", "other"):
        (tmp_path / name).write_bytes(os.urandom(3 * MIB if name == "large" else size))
        pairs.append((tmp_path / name, tmp_path / "to" / name))
    policy = Policy(streams=2, stall_timeout=1.0, connect_timeout=5.0, block_size=MIB)
    with Job(pairs, policy, writer_command=(sys.executable, str(tmp_path / "hang.py"))) as job:
        job.start()
        problem = job.writer.wait_end().problem
        outcomes = job.writer.outcomes
    assert problem is not None and (problem.code, problem.side, problem.phase, problem.retryable) == (
        "destination-hangs",
        Side.DESTINATION,
        Phase.TRANSFER,
        True,
    )
    assert "/to/" in problem.reason and "mount" in problem.remedy
    # Blocks of another file may be behind the one that hangs.
    done = {index for index, outcome in outcomes.items() if outcome.state is State.DONE}
    assert 1 not in outcomes and not (tmp_path / "to/dead").exists()
    assert all(
        Path(os.fsdecode(pairs[at][1])).read_bytes() == Path(os.fsdecode(pairs[at][0])).read_bytes() for at in done
    )
