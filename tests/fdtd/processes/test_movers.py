"""One running mover and its pipes."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.errors import FdtError
from fdtcp.model.order import Ended, Message, Role, Setup, Sweep
from fdtd.processes.launcher import Launcher
from fdtd.processes.movers import RunningMover
from tests.fdtd.conftest import SAME
from tests.helpers.daemons import own_account

LONG = 20.0
SETUP = Setup(Role.WRITER, "0" * 32, (b"/",))


class Listener:
    """Remembers what a mover did."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.garbage: list[FdtError] = []
        self.exits: list[str] = []
        self.gone = threading.Event()

    def exit(self, how: str) -> None:
        self.exits.append(how)
        self.gone.set()


class Stage:
    """Starts programs of a few lines as movers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.movers: list[RunningMover] = []

    def start(self, script: str) -> tuple[RunningMover, Listener]:
        listener = Listener()
        with Launcher(SAME) as launcher:
            # Without what the launcher adds: its thread ends here, and the kernel would tell its children so.
            launcher._command = (sys.executable, "-I", "-c", script)
            process = launcher.launch(own_account(), str(self.directory / "log"))
        mover = RunningMover(process, listener.messages.append, listener.garbage.append, listener.exit)
        mover.start()
        self.movers.append(mover)
        return mover, listener


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    one = Stage(tmp_path)
    yield one
    for mover in one.movers:
        mover.kill()
        assert mover.wait_gone(LONG)


def test_lines_come_whole_however_they_were_written(stage: Stage) -> None:
    line = '{"ended":{"problem":null}}'
    script = f"import os, time\nfor c in b'''{line}\\n{line}\\n''': os.write(1, bytes([c]))"
    mover, heard = stage.start(script)
    assert mover.wait_gone(LONG)
    assert heard.messages == [Ended(), Ended()]
    assert heard.exits == ["status 0"]


def test_the_last_words_of_a_mover_are_heard(stage: Stage) -> None:
    script = 'import os\nos.write(1, b\'{"ended":{"problem":null}}\\n\' * 2000)\nos._exit(3)'
    mover, heard = stage.start(script)
    assert mover.wait_gone(LONG)
    assert len(heard.messages) == 2000
    assert heard.exits == ["status 3"]


def test_garbage_is_told_once_and_the_rest_is_not_heard(stage: Stage) -> None:
    script = 'import os\nos.write(1, b\'what?\\nwhat?\\n{"ended":{"problem":null}}\\n\')'
    mover, heard = stage.start(script)
    assert mover.wait_gone(LONG)
    assert len(heard.garbage) == 1
    assert heard.messages == []


def test_a_line_without_end_is_garbage_before_it_fills_the_memory(stage: Stage) -> None:
    mover, heard = stage.start("import os\nwhile True: os.write(1, b'x' * 65536)")
    deadline = time.monotonic() + LONG
    while not heard.garbage and time.monotonic() < deadline:
        heard.gone.wait(0.02)
    assert "a line of more than" in heard.garbage[0].reason
    mover.kill()
    assert mover.wait_gone(LONG)
    assert heard.exits == ["signal SIGKILL"]


def test_orders_that_nobody_reads_hold_nobody(stage: Stage) -> None:
    mover, _ = stage.start("import time\ntime.sleep(60)")
    begun = time.monotonic()
    for _ in range(20):
        mover.send(Sweep((b"/x" * 2000,) * 100, False))
    mover.cut_life_line()
    assert time.monotonic() - begun < 2.0
    mover.terminate()
    assert mover.wait_gone(LONG)


def test_a_mover_that_does_not_read_its_orders_is_killed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fdtd.processes.movers.WRITE_TIMEOUT_S", 0.3)
    mover, heard = stage.start("import time\ntime.sleep(60)")
    mover.send(Sweep((b"/x" * 2000,) * 100, False))
    assert mover.wait_gone(LONG)
    assert heard.exits == ["signal SIGKILL"]


def test_orders_arrive_before_the_life_line_is_cut(stage: Stage) -> None:
    mover, heard = stage.start("import sys\nn = len(sys.stdin.read())\nsys.exit(0 if n > 50 else 9)")
    mover.send(SETUP)
    mover.cut_life_line()
    assert mover.wait_gone(LONG)
    assert heard.exits == ["status 0"]


def test_an_exit_is_noticed_though_a_child_holds_the_pipe(stage: Stage) -> None:
    script = "import os, time\nif os.fork() == 0:\n  time.sleep(2.5)\n  os._exit(0)\nos._exit(5)"
    mover, heard = stage.start(script)
    begun = time.monotonic()
    assert mover.wait_gone(LONG)
    assert time.monotonic() - begun < 2.4
    assert heard.exits == ["status 5"]


def test_a_mover_that_closes_its_output_and_stays_is_killed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fdtd.processes.movers.CLOSED_TIMEOUT_S", 0.3)
    mover, heard = stage.start("import os, time\nos.close(1)\ntime.sleep(60)")
    assert mover.wait_gone(LONG)
    assert heard.exits == ["signal SIGKILL"]


def test_signals_after_the_end_reach_nobody(stage: Stage) -> None:
    mover, _ = stage.start("")
    assert mover.wait_gone(LONG)
    mover.kill()
    mover.terminate()
    mover.send(SETUP)
    mover.cut_life_line()


def test_a_mover_whose_words_meet_a_bug_of_ours_is_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # As with sudo, whose process we must not kill: then its life line is what ends it.
    monkeypatch.setattr(RunningMover, "kill", lambda _: None)
    mover, listener = stage.start(
        "import json, sys; sys.stdin.readline(); print(json.dumps({'ended': {}}), flush=True); sys.stdin.read()"
    )

    def fail(_: Message) -> None:
        raise KeyError("a bug")

    mover._on_message = fail
    mover.send(SETUP)
    assert listener.gone.wait(LONG) and mover.wait_gone(LONG)
    assert listener.exits == ["an error of the daemon"]
    assert "event=mover-reader-failed" in caplog.text
