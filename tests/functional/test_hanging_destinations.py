"""Destinations that hang while a file is written, as a dead NFS mount does."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from fdtcp.errors import Phase, Side
from fdtcp.model.order import Ended, Policy, State
from tests.helpers.hangingfs import OPENDIR, STATFS, HangingFs
from tests.helpers.movers import Job, Pair

MIB: Final = 1 << 20

# A writer for which whatever is called dead... hangs, at one of the steps of a file.
HANGS: Final = """
import os, sys, threading
from fdtd.mover import program, writer
from fdtd.storage.posix_bundle import PosixBundle
from fdtd.storage.posix_destination import PosixDestinations
from fdtd.storage.posix_partial import PosixPartial

def hang(method, path_of):
    def call(self, *values, **named):
        if b"dead" in path_of(self, *values):
            threading.Event().wait()
        return method(self, *values, **named)
    return call

if sys.argv[1] == "write":
    PosixBundle.write = hang(PosixBundle.write, lambda self, path, *_: path)
    PosixPartial.write = hang(PosixPartial.write, lambda self, *_: self.path)
elif sys.argv[1] == "open":
    PosixBundle.write = lambda *_: False
    PosixDestinations.claim = hang(PosixDestinations.claim, lambda self, path, *_: path)
elif sys.argv[1] == "sync":
    writer._COMMIT_STALLS = 1
    PosixBundle.publish = hang(PosixBundle.publish, lambda self: [at for at in self._open if self._open[at]][0])
    PosixPartial.dress = hang(PosixPartial.dress, lambda self, *_: self.path)
os._exit(program.main())
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """Yield a directory on another device than `tmp_path`."""
    if os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is but one file system to write to")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        yield Path(made)


@pytest.mark.parametrize(("step", "size"), [("write", 1000), ("open", 4 * MIB), ("sync", 1000)])
def test_what_is_not_on_the_file_system_that_hangs_is_done(
    tmp_path: Path, elsewhere: Path, step: str, size: int
) -> None:
    """A hang used to end the whole job, or, where files are made safe, to keep it for ever."""
    (tmp_path / "hang.py").write_text(HANGS)
    pairs: list[Pair] = []
    for number in range(8):
        source = tmp_path / str(number)
        source.write_bytes(os.urandom(size))
        pairs.append((source, (elsewhere / "dead" if number % 2 else tmp_path / "to") / str(number)))
    policy = Policy(streams=2, stall_timeout=2.0, connect_timeout=5.0, block_size=MIB)
    with Job(pairs, policy, writer_command=(sys.executable, str(tmp_path / "hang.py"), step)) as job:
        job.start()
        problem = job.writer.wait_end().problem
        outcomes = job.writer.outcomes
    assert problem is not None and (problem.code, problem.side, problem.retryable) == (
        "destination-hangs",
        Side.DESTINATION,
        True,
    )
    assert "/dead/" in problem.reason and "mount" in problem.remedy
    for number in range(8):
        if number % 2 == 0:
            assert outcomes[number].state is State.DONE
            assert (tmp_path / "to" / str(number)).read_bytes() == (tmp_path / str(number)).read_bytes()
        elif number in outcomes:  # of others something may be left: they are told of when it was looked for
            failed = outcomes[number].problem
            assert failed is not None and (failed.code, failed.side) == ("destination-hangs", Side.DESTINATION)
        assert number % 2 == 0 or not (elsewhere / "dead" / str(number)).exists()


@pytest.mark.root
@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="this kernel has no FUSE")
@pytest.mark.parametrize("silent", [OPENDIR, STATFS], ids=["open", "statfs"])
def test_a_look_that_hangs_in_the_kernel_fails_its_files_and_no_others(tmp_path: Path, silent: int) -> None:
    """It used to keep the writer's own thread, which told of nothing until the daemon gave up."""
    pairs: list[Pair] = []
    with HangingFs(tmp_path / "dead", [], 0, {silent}) as disk:
        for number in range(6):
            source = tmp_path / str(number)
            source.write_bytes(os.urandom(1000 + number % 3 * MIB))
            pairs.append((source, (disk.at if number % 2 else tmp_path / "to") / str(number)))
        with Job(pairs, Policy(stall_timeout=2.0, block_size=MIB)) as job:
            job.start()
            while not isinstance(said := job.writer.hear(), Ended):
                assert said is not None
            disk.take_away()
            assert said.problem is None and job.writer.process.wait(5) == 0
            outcomes = job.writer.outcomes
    for number in range(6):
        failed = outcomes[number].problem
        if number % 2:
            assert failed is not None
            assert (failed.code, failed.side, failed.phase, failed.retryable) == (
                "destination-hangs",
                Side.DESTINATION,
                Phase.PREFLIGHT,
                True,
            )
            assert str(tmp_path / "dead") in failed.reason
        else:
            assert outcomes[number].state is State.DONE
    assert sorted(os.listdir(tmp_path / "to")) == ["0", "2", "4"]
