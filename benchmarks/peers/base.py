"""The interface of all peers: prepare, run, clean.

Decides how servers are started, how their port is learnt, and that they are gone afterwards whatever happens.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

from benchmarks.metering import CommandFailed, Meter, scratch
from benchmarks.work import WHOLE_COMMAND, Measurement, Work

HOST: Final = "127.0.0.1"
# A server that is not up by then has failed; its output says why.
START_WITHIN_S: Final = 20.0
# All of them leave at once when they are asked to, or hang.
LEAVE_WITHIN_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.02
# TCP_LISTEN of the kernel, as /proc has it.
_LISTEN: Final = "0A"
# xrootd tells 8 KiB of its configuration before it comes to its port.
_ANNOUNCED_WITHIN_BYTES: Final = 256 * 1024


class Peer(ABC):
    """A program that moves data.  `label` is what it is called in tables, unique within a contest."""

    # What has to be in PATH, and the Debian packages that bring it.
    programs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()

    def __init__(self, label: str) -> None:
        self.label = label
        self._stack = ExitStack()

    def absence(self) -> str:
        """Say why this peer cannot take part; empty if it can."""
        missing = [program for program in self.programs if shutil.which(program) is None]
        return f"{', '.join(missing)} not installed (Debian: {' '.join(self.packages)})" if missing else ""

    def prepare(self, places: Sequence[Path]) -> None:  # noqa: B027  # programs without a server have nothing to do
        """Start servers that may use the directories `places`.  Raises CommandFailed."""

    @abstractmethod
    def run(self, work: Work) -> Measurement:
        """Do the work once.  Raises CommandFailed."""

    def clean(self) -> None:
        """Stop the servers and remove what `prepare` has made."""
        self._stack.close()

    @contextmanager
    def ready(self, places: Sequence[Path]) -> Iterator[None]:
        """Be prepared during the block."""
        try:
            self.prepare(places)
            yield
        finally:
            self.clean()

    # --- for the peers themselves ---

    def _directory(self) -> Path:
        """Make a directory that is removed by `clean`."""
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory()))

    def _serve(
        self,
        command: Sequence[str | Path],
        *,
        said: str = "",
        port: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> tuple[int, int]:
        """Start a server; returns its process id and port.

        The port is the number in the first line that matches `said`, on standard output or error; else it is `port`,
        and the server is up as soon as somebody listens there.  Raises CommandFailed.
        """
        # A file takes whatever a server says later, too; a pipe would be full some day.
        output = self._stack.enter_context(scratch())
        process = subprocess.Popen(
            list(map(str, command)),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        self._stack.callback(_stop, process)
        try:
            return process.pid, wait_announced(output, said, process) if said else wait_listening(port, process)
        except TimeoutError as exc:
            raise CommandFailed(f"{command[0]} does not start: {exc}") from exc


def measured(meter: Meter, work: Work, *, data_s: float | None = None, timed_by: str = WHOLE_COMMAND) -> Measurement:
    """Return what the meter has seen; the data phase is the whole command unless the peer knows better."""
    return Measurement(
        work.size, work.files, meter.seconds, meter.seconds if data_s is None else data_s, timed_by, dict(meter.usage)
    )


def free_port() -> int:
    """Return a port that nobody listens on right now, for programs that cannot be told to let the kernel choose."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_announced(output: IO[bytes], said: str, process: subprocess.Popen[bytes]) -> int:
    """Wait until a server has named its port in what it writes to `output`.  Raises TimeoutError."""
    deadline = time.monotonic() + START_WITHIN_S
    while True:
        is_gone = process.poll() is not None
        text = os.pread(output.fileno(), _ANNOUNCED_WITHIN_BYTES, 0)
        if found := re.search(said.encode(), text):
            return int(found[1])
        if is_gone or time.monotonic() > deadline:
            raise TimeoutError(text.decode("utf-8", "replace")[-400:] or "it says nothing")
        time.sleep(_LOOK_EVERY_S)


def wait_listening(port: int, process: subprocess.Popen[bytes]) -> int:
    """Wait until somebody listens; not by a connection, which may be the only one.  Raises TimeoutError."""
    deadline = time.monotonic() + START_WITHIN_S
    while not _is_listening(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError(f"nobody listens on port {port}")
        time.sleep(_LOOK_EVERY_S)
    return port


def _is_listening(port: int) -> bool:
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            # proc(5): the number of the line, the local address, the remote one, the state.
            _, local, _, state, *_ = line.split()
            if state == _LISTEN and int(local.rpartition(":")[2], 16) == port:
                return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(LEAVE_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
