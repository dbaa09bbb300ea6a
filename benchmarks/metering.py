"""What a run costs: its time, and the CPU seconds and peak memory of the processes on each side.

Decides how that is counted without cgroups, so that nobody needs to be root.  The kernel adds the CPU time of a process
that was waited for to its parent's, so the sum over a tree before and after is exact as soon as those that came are
gone.  Peaks are the kernel's own marks of each process, read several times a second; marks of servers, which live
longer than a run, are wiped first.
"""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

from benchmarks.processes import cpu_s, descendants, forget_peak, peak
from benchmarks.work import Usage

# Reading all processes takes 2 ms: less than a percent of a core.
SAMPLE_EVERY_S: Final = 0.25
# Movers and the children of servers are gone some milliseconds after the command that they served.
SETTLE_WITHIN_S: Final = 3.0
_SETTLE_LOOK_S: Final = 0.01
# A peer that has not done its work by then has failed.
COMMAND_WITHIN_S: Final = 900.0
# What a person needs of a program's complaints.
_TAIL_BYTES: Final = 400


class CommandFailed(Exception):
    """A program that is measured did not do its work."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program that runs; what it says is kept in files, so that nobody has to read it meanwhile."""

    side: str
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    errors: IO[bytes]


class Meter:
    """Measures commands of its block, and servers: the processes `servers` of each side.  A context manager.

    The time is that from the beginning of the block to the end of its last command.
    """

    def __init__(self, servers: Mapping[str, Iterable[int]] | None = None) -> None:
        self.seconds = 0.0
        self.usage: dict[str, Usage] = {}
        self._servers = {side: tuple(pids) for side, pids in (servers or {}).items()}
        self._commands: list[Command] = []
        self._cpu: dict[str, float] = {}
        self._peaks: dict[tuple[str, int], int] = {}
        self._stack = ExitStack()
        self._is_over = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="meter", daemon=True)

    def __enter__(self) -> Self:
        self._before = {side: descendants(pids) for side, pids in self._servers.items()}
        for side, pids in self._before.items():
            for pid in pids:
                forget_peak(pid)
            self._count(side, -cpu_s(pids))
        self._sampler.start()
        self._began = time.perf_counter()
        return self

    def __exit__(self, *exc: object) -> None:
        self._is_over.set()
        self._sampler.join()
        self._stack.close()
        for side, pids in self._before.items():
            self._count(side, cpu_s(_settled(self._servers[side], pids)))
        self.usage = {
            side: Usage(round(seconds, 3), sum(value for (owner, _), value in self._peaks.items() if owner == side))
            for side, seconds in self._cpu.items()
        }

    def run(self, side: str, arguments: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> str:
        """Run a command to its end; returns what it said.  Raises CommandFailed."""
        return self.wait(self.start(side, arguments, environment))

    def start(
        self,
        side: str,
        arguments: Sequence[str | Path],
        environment: Mapping[str, str] | None = None,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
        stdout: int | None = None,
    ) -> Command:
        """Start a command; `stdout` may be subprocess.PIPE, to be the next one's standard input."""
        output, errors = (self._stack.enter_context(scratch()) for _ in range(2))
        process = subprocess.Popen(
            [str(argument) for argument in arguments],
            env=environment,
            stdin=stdin,
            stdout=output if stdout is None else stdout,
            stderr=errors,
        )
        command = Command(side, process, output, errors)
        self._stack.callback(_end, process)
        self._commands.append(command)
        return command

    def wait(self, command: Command) -> str:
        """Wait until a command has ended; returns what it said.  Raises CommandFailed."""
        process = command.process
        descriptor = os.pidfd_open(process.pid)
        try:
            is_ended = bool(select.select([descriptor], [], [], COMMAND_WITHIN_S)[0])
        finally:
            os.close(descriptor)
        if not is_ended:
            raise CommandFailed(f"{process.args!s:.60} has not ended within {COMMAND_WITHIN_S:.0f} s")
        # Unlike Popen's own this wait tells what the process and its children have used.
        _, status, used = os.wait4(process.pid, 0)
        self.seconds = time.perf_counter() - self._began
        process.returncode = os.waitstatus_to_exitcode(status)
        self._count(command.side, used.ru_utime + used.ru_stime)
        output = _read(command.output)
        if process.returncode != 0:
            said = (_read(command.errors) or output).strip()[-_TAIL_BYTES:]
            raise CommandFailed(f"exit code {process.returncode}: {' | '.join(said.splitlines())}")
        return output

    def _count(self, side: str, seconds: float) -> None:
        self._cpu[side] = self._cpu.get(side, 0.0) + seconds

    def _sample(self) -> None:
        """Note peaks until the block is over: often at first, because some runs are short."""
        pause_s = SAMPLE_EVERY_S / 8
        while not self._is_over.wait(pause_s):
            pause_s = min(2 * pause_s, SAMPLE_EVERY_S)
            roots = {side: set(pids) for side, pids in self._servers.items()}
            for command in self._commands:
                if command.process.returncode is None:
                    roots.setdefault(command.side, set()).add(command.process.pid)
            for side, pids in roots.items():
                for pid in descendants(pids):
                    self._peaks[side, pid] = max(self._peaks.get((side, pid), 0), peak(pid))


def scratch() -> IO[bytes]:
    """Open a file without a name, to be closed by whoever has asked for it."""
    return tempfile.TemporaryFile()  # see above


def _settled(roots: Iterable[int], before: set[int]) -> set[int]:
    """Return the tree when the processes that a run has added are gone; as it is if they do not go."""
    deadline = time.monotonic() + SETTLE_WITHIN_S
    roots = tuple(roots)
    while not (pids := descendants(roots)) <= before and time.monotonic() < deadline:
        time.sleep(_SETTLE_LOOK_S)
    return pids


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """See that nothing of a command that failed stays."""
    if process.returncode is None:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
