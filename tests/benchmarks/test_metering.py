from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.metering import CommandFailed, Meter
from benchmarks.processes import cpu_s, descendants, peak
from benchmarks.work import DESTINATION, SOURCE

# Burns CPU until the process has used what is asked for: the clock of a busy machine does not matter.
BURN = "import time\nwhile time.process_time() < {}: pass"


def test_what_a_command_and_its_children_use_is_counted_on_its_side() -> None:
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN.format(0.2)!r}], check=True)"
    with Meter() as meter:
        meter.run(SOURCE, [sys.executable, "-c", nested])
    assert meter.usage[SOURCE].cpu_s >= 0.15
    assert meter.seconds > 0
    assert DESTINATION not in meter.usage


def test_a_server_is_charged_for_what_it_does_within_the_block() -> None:
    # It answers each line with a child that burns, and waits for it as all servers do.
    child = f"subprocess.run([sys.executable, '-c', {BURN.format(0.5)!r}])"
    code = f"import subprocess, sys\nfor line in sys.stdin:\n  {child}\n  print('done', flush=True)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        for _ in range(2):
            with Meter({DESTINATION: [server.pid]}) as meter:
                server.stdin.write(b"work\n")
                server.stdin.flush()
                server.stdout.readline()
            # The kernel counts in ticks; and it is not twice as much the second time.
            assert 0.45 <= meter.usage[DESTINATION].cpu_s < 0.95
        server.stdin.close()


def test_the_peak_of_memory_is_that_of_the_command() -> None:
    code = "import time\ndata = bytearray(100_000_000)\nwhile time.process_time() < 0.6: pass"
    with Meter() as meter:
        meter.run(SOURCE, [sys.executable, "-c", code])
    assert 100_000_000 <= meter.usage[SOURCE].peak < 200_000_000


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(CommandFailed, match=r"exit code 3: no \| such thing"), Meter() as meter:
        meter.run(SOURCE, ["sh", "-c", "echo no >&2; echo such thing >&2; exit 3"])


def test_nothing_that_was_started_outlives_the_block() -> None:
    with pytest.raises(CommandFailed), Meter() as meter:
        other = meter.start(SOURCE, ["sleep", "1000"])
        meter.run(SOURCE, ["false"])
    assert other.process.returncode is not None


def test_commands_can_be_a_pipe() -> None:
    with Meter() as meter:
        first = meter.start(SOURCE, ["echo", "hello"], stdout=subprocess.PIPE)
        assert first.process.stdout is not None
        second = meter.start(DESTINATION, ["cat"], stdin=first.process.stdout)
        assert meter.wait(first) == ""
        assert meter.wait(second) == "hello\n"


def test_processes_that_are_gone_are_nothing() -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    assert not descendants([gone.pid])
    assert cpu_s([gone.pid]) == 0
    assert peak(gone.pid) == 0
    assert descendants([os.getpid()]) >= {os.getpid()}
