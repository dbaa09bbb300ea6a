"""From memory to memory: what the network and the programs on it can do when no disk takes part.

Decides how fdtcp and iperf3 are asked for the same thing: the same hosts, addresses, streams and congestion control.
fdtcp moves /dev/zero to /dev/null between two real daemons; its rate is that of the data phase, from the order to send
until the last outcome.  iperf3's is what its receiver has counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

from benchmarks.peers import COPY_WITHIN_S, free_port
from fdtcp.cli.lab import DESTINATION, SOURCE, Lab, LabHost

_SPARE_S: Final = 20.0

LOOPBACK: Final = (SOURCE, DESTINATION)


class MemoryToMemory:
    """Two daemons, and the command at the first host.  A context manager."""

    def __init__(self, hosts: tuple[LabHost, LabHost] = LOOPBACK, peers: str = "127.1.0.0/16, 127.2.0.0/16") -> None:
        self.streams = 0  # that the last copy had
        self._hosts = hosts
        self._peers = peers
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._home = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._lab = self._stack.enter_context(Lab(str(self._home), hosts=self._hosts, peers=self._peers))
        self._lab.make()
        for host in self._hosts:
            self._lab.start(host)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def rate(self, size: int, options: Sequence[str] = ()) -> float:
        """Copy `size` bytes; returns bytes per second."""
        source, destination = (self._lab.daemons[host.name].authority for host in self._hosts)
        command = [*self._hosts[0].command, sys.executable, "-m", "fdtcp", "--json", str(self._home / "result.json")]
        command += ["--zero-size", str(size), *options]
        subprocess.run(
            [*command, f"fdt://{source}/dev/zero", f"fdt://{destination}/dev/null"],
            env=self._lab.environment,
            check=True,
            timeout=COPY_WITHIN_S,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        (job,) = json.loads((self._home / "result.json").read_text())["jobs"]
        self.streams = len(job["streams"])
        seconds: float = job["timings"]["first final"] - job["timings"]["started"]
        return size / seconds


class Iperf3:
    """iperf3 from the first host to an address of the second."""

    def __init__(self, hosts: tuple[LabHost, LabHost] = LOOPBACK, congestion: str = "") -> None:
        self._hosts = hosts
        self._congestion = ("--congestion", congestion) if congestion else ()

    def rate(self, streams: int, seconds: float) -> float:
        """Send for so long; returns bytes per second."""
        address, port = self._hosts[1].data[0], str(free_port())
        # Some seconds for its own connection, and for what is still in the buffers.
        within_s = seconds + _SPARE_S
        server = [*self._hosts[1].command, "iperf3", "--server", "--one-off", "--forceflush", "--bind", address]
        with subprocess.Popen([*server, "--port", port], stdout=subprocess.PIPE, text=True) as receiver:
            try:
                assert receiver.stdout is not None, "it was asked for"
                while "listening" not in receiver.stdout.readline():
                    if receiver.poll() is not None:
                        raise RuntimeError("iperf3 does not listen")
                command = [*self._hosts[0].command, "iperf3", "--client", address, "--port", port, "--json"]
                command += ["--parallel", str(streams), "--time", str(seconds), *self._congestion]
                done = subprocess.run(
                    command, check=True, timeout=within_s, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
                )
                receiver.communicate(timeout=within_s)
            finally:
                receiver.kill()
        result: dict[str, Any] = json.loads(done.stdout)  # Any: JSON
        return float(result["end"]["sum_received"]["bits_per_second"]) / 8
