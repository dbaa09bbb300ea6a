"""The pipes to the daemon, and the life line."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from fdtcp.errors import ProtocolViolation
from fdtcp.model.order import Ended, Policy, Role, Setup, Stop
from fdtcp.model.pipe import encode_line
from fdtd.mover.control import Control
from tests.helpers.movers import Job, Mover


def control_with(said: bytes) -> Control:
    """Return a control whose daemon said `said` and closed the pipe."""
    read_end, write_end = os.pipe()
    os.write(write_end, said)
    os.close(write_end)
    return Control(read_end, os.open(os.devnull, os.O_WRONLY))


def test_the_first_order_is_read_before_any_thread_exists() -> None:
    setup = Setup(Role.READER, "0" * 32, (b"/data",), Policy(streams=3))
    assert control_with(encode_line(setup) + encode_line(Stop(discard=True))).first_order() == setup


@pytest.mark.parametrize("said", [b"", b"no line", b"not json\n", b'{"setup": {}}\n', b'{"ended": {}}\n'])
def test_what_is_no_order_is_a_violation(said: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        control_with(said).first_order()


def test_a_daemon_that_is_gone_is_no_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    control = Control(0, write_end)
    control.say(Ended())
    assert control.is_cut
    os.close(write_end)


def test_end_of_file_ends_every_role_within_two_seconds(tmp_path: Path) -> None:
    for role in Role:
        mover = Mover(Setup(role, "0" * 32, (os.fsencode(tmp_path),)))
        assert mover.process.stdin is not None and mover.process.stdout is not None
        began = time.monotonic()
        mover.process.stdin.close()
        mover.process.wait(5)
        assert time.monotonic() - began < 2.2
        mover.process.stdout.close()
        mover.log.close()


def test_nonsense_ends_the_mover_with_a_problem(tmp_path: Path) -> None:
    with Mover(Setup(Role.WRITER, "0" * 32, (os.fsencode(tmp_path),))) as mover:
        assert mover.process.stdin is not None
        mover.process.stdin.write(b"nonsense\n")
        problem = mover.wait_end().problem
    assert problem is not None and problem.code in ("protocol-violation", "abandoned")


def test_a_mover_that_is_told_to_stop_by_many_at_once_stops(tmp_path: Path) -> None:
    """Each of the daemon's threads that dies may bring a signal; a handler that locks would wait for itself."""
    (tmp_path / "source").write_bytes(b"some")
    with Job([(tmp_path / "source", tmp_path / "to")]) as job:
        job.describe()
        job.expect()
        for mover in (job.reader, job.writer):
            for _ in range(2000):
                mover.process.send_signal(signal.SIGTERM)
            assert mover.process.wait(5) == 0
