"""What a mover has asked of its kernel by the time that it works."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fdtcp.model.order import Describe, Described, Role, Setup
from tests.helpers.movers import Mover


def test_its_table_of_open_files_has_its_size_from_the_start(tmp_path: Path) -> None:
    with _reader(tmp_path) as mover:
        status = Path(f"/proc/{mover.process.pid}/status").read_text()
    size = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("FDSize:"))
    assert size >= min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 1 << 15)


def test_it_is_scheduled_for_throughput(tmp_path: Path) -> None:
    with _reader(tmp_path) as mover:
        assert os.sched_getscheduler(mover.process.pid) == os.SCHED_BATCH


def test_how_an_administrator_has_it_scheduled_stays(tmp_path: Path) -> None:
    with _reader(tmp_path, "chrt", "--idle", "0") as mover:
        assert os.sched_getscheduler(mover.process.pid) == os.SCHED_IDLE


@contextmanager
def _reader(path: Path, *command: str) -> Iterator[Mover]:
    """Have a reader that has answered an order."""
    with Mover(Setup(Role.READER, "0" * 32, (os.fsencode(path),)), command=command) as mover:
        mover.say(Describe(0, ()))
        mover.wait_for(Described)
        yield mover
