"""More small files than a writer may have open, and a disk that syncs slowly."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import pytest

from fdtcp.model.order import Policy, State, Sync, Verify
from tests.helpers.movers import Job, Pair

# A writer with few descriptors, on a file system whose syncs take their time.
SLUGGISH: Final = (
    sys.executable,
    "-I",
    "-c",
    "import os, resource, time; resource.setrlimit(resource.RLIMIT_NOFILE, (1500, 1500));"
    "from fdtd.mover import program; from fdtd.storage.posix_volume import FileSystem; sync = FileSystem.sync;"
    "FileSystem.sync = lambda one: (time.sleep(0.15), sync(one))[1]; os._exit(program.main())",
)

FEW_DESCRIPTORS: Final = (
    sys.executable,
    "-I",
    "-c",
    "import os, resource; resource.setrlimit(resource.RLIMIT_NOFILE, (600, 600));"
    "from fdtd.mover import program; os._exit(program.main())",
)

# A disk that takes its time for each file that is synced by itself.
SLOW_BY_FILE: Final = (
    sys.executable,
    "-I",
    "-c",
    "import os, resource, time; resource.setrlimit(resource.RLIMIT_NOFILE, (600, 600));"
    "from fdtd.mover import program; from fdtd.storage.posix_partial import PosixPartial as Slow;"
    "sync = Slow.sync_data; Slow.sync_data = lambda one: (time.sleep(0.1), sync(one))[1]; os._exit(program.main())",
)

# A disk that takes its time for each file, and either all are synced one by one or its sync of all is not believed.
ONE_BY_ONE: Final = (
    sys.executable,
    "-I",
    "-c",
    "import os, resource, time; resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400));"
    "from fdtd.mover import program; from fdtd.storage import posix_partial as posix, posix_volume as volume;"
    "volume.has_honest_syncfs = lambda _descriptor: False; sync = posix.sync_open;"
    "posix.sync_open = lambda *open: (time.sleep(0.004), sync(*open))[1]; os._exit(program.main())",
)


@pytest.mark.parametrize("sync", [Sync.FILE, Sync.BATCH])
def test_files_that_are_synced_one_by_one_wait_their_turn(tmp_path: Path, sync: Sync) -> None:
    """All of them take twice as long as a stream may be silent."""
    (tmp_path / "from").mkdir()
    pairs: list[Pair] = []
    for number in range(600):
        (tmp_path / f"from/{number}").write_text(str(number))
        pairs.append((tmp_path / f"from/{number}", tmp_path / f"to/{number}"))
    policy = Policy(sync=sync, stall_timeout=1.0, connect_timeout=1.0)
    with Job(pairs, policy, writer_command=ONE_BY_ONE) as job:
        outcomes = job.run()
        assert "warning stream-end" not in job.writer.read_log()
    assert {(outcome.state, outcome.problem) for outcome in outcomes.values()} == {(State.DONE, None)}


def test_files_that_are_read_back_are_synced_together(tmp_path: Path) -> None:
    """One by one, they would take longer than a stream may be silent."""
    (tmp_path / "from").mkdir()
    pairs: list[Pair] = []
    for number in range(1200):
        (tmp_path / f"from/{number}").write_text(str(number))
        pairs.append((tmp_path / f"from/{number}", tmp_path / f"to/{number}"))
    policy = Policy(verify=Verify.DISK, stall_timeout=5.0, connect_timeout=1.0)
    with Job(pairs, policy, writer_command=SLOW_BY_FILE) as job:
        outcomes = job.run()
    assert {(outcome.state, outcome.problem) for outcome in outcomes.values()} == {(State.DONE, None)}


def test_one_batch_may_have_more_files_than_can_be_open(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    pairs: list[Pair] = []
    for number in range(3000):
        (tmp_path / f"from/{number}").write_text(str(number))
        pairs.append((tmp_path / f"from/{number}", tmp_path / f"to/{number}"))
    with Job(pairs, writer_command=FEW_DESCRIPTORS) as job:
        outcomes = job.run()
    assert {outcome.problem for outcome in outcomes.values() if outcome.state is not State.DONE} == set()
    assert all((tmp_path / f"to/{number}").read_text() == str(number) for number in range(3000))


def test_files_that_come_faster_than_they_are_synced_wait_their_turn(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    content = os.urandom(10_000)
    pairs: list[Pair] = []
    for number in range(6000):
        (tmp_path / f"from/{number}").write_bytes(content[number:][:2000])
        pairs.append((tmp_path / f"from/{number}", tmp_path / f"to/{number % 7}/{number}"))
    with Job(pairs, writer_command=SLUGGISH) as job:
        outcomes = job.run()
    problems = {outcome.problem for outcome in outcomes.values() if outcome.state is not State.DONE}
    assert not problems
    assert all(Path(os.fsdecode(one)).read_bytes() == Path(os.fsdecode(other)).read_bytes() for one, other in pairs)
