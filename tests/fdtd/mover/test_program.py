"""How a mover process starts and ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fdtcp.errors import InternalError
from fdtcp.model.order import Describe, Described, Listen, Policy, Role, Setup, SourceFile
from fdtcp.model.pipe import encode_line
from fdtd.mover.control import Control
from fdtd.mover.log import Log
from fdtd.mover.program import watch_threads
from tests.helpers.movers import SECRET, Mover


def test_the_first_order_must_be_setup() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-m", "fdtd.mover.program"],
        input=encode_line(Describe(0, ())),
        capture_output=True,
        cwd="/",
        check=False,
    )
    assert done.returncode == 1
    assert b"protocol-violation" in done.stdout


@pytest.mark.root
def test_its_memory_is_nobody_elses_business(tmp_path: Path) -> None:
    setup = Setup(Role.READER, "0" * 32, (os.fsencode(tmp_path),))
    with Mover(setup) as mover:
        mover.say(Describe(0, ()))
        mover.wait_for(Described)
        # Files of a process that may not be dumped belong to root.
        assert os.stat(f"/proc/{mover.process.pid}/mem").st_uid == 0


def test_no_secret_is_logged(tmp_path: Path) -> None:
    with Mover(Setup(Role.WRITER, "0" * 32, (os.fsencode(tmp_path),), Policy())) as mover:
        mover.say(Listen(("127.0.0.1",), (0,), b"very secret secret of 32 bytes.."))
        mover.hear()
        log = mover.read_log()
    assert "secret" not in log and SECRET.hex() not in log
    assert "event" not in log.split()[2] and "job=" + "0" * 32 in log


def test_a_reader_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, fdtd.mover.program, fdtd.mover.reader, fdtd.mover.writer;"
        "print([m for m in ('cryptography', 'Pyro5', 'rich', 'asyncio', 'psutil', 'subprocess') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True, cwd=tmp_path)
    assert done.stdout == b"[]\n"


def test_an_order_that_a_role_does_not_know_ends_it(tmp_path: Path) -> None:
    with Mover(Setup(Role.WRITER, "0" * 32, (os.fsencode(tmp_path),))) as mover:
        mover.say(Describe(0, (SourceFile(0, b"/x"),)))
        problem = mover.wait_end().problem
    assert problem is not None and problem.code == "protocol-violation"


def test_a_bug_in_a_thread_ends_the_mover(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)  # put back at the end
    control = Control(-1, -1)
    watch_threads(control, Log("0" * 32, "writer"))
    thread = threading.Thread(target=lambda: 1 // 0)
    thread.start()
    thread.join()
    with pytest.raises(InternalError, match="ZeroDivisionError"):
        control.next_order(5.0)
    assert "ZeroDivisionError" in capfd.readouterr().err
