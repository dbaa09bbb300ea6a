"""Two hosts far from each other: two network namespaces with a long wire (`wanlink`) between them.

Decides names and addresses.  Data goes over the wire; commands go over a short one beside it, without delay, so that
what is measured is the data path.  Everything lives in the namespaces and ends with them.  Needs root.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

GBIT: Final = 1_000_000_000

# A router's buffer: what the cap lets through in this time.
QUEUE_S: Final = 0.05

# That both ends of the long wire are in.
NETWORK: Final = "10.97.0.0/24"

_WITHIN_S: Final = 20.0
_PROJECT: Final = Path(__file__).parents[2]
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class End:
    """One of the two hosts."""

    namespace: str
    control: str  # address on the short wire
    data: str  # address on the long wire

    @property
    def command(self) -> tuple[str, ...]:
        """Return what stands before a command to run it there."""
        return ("ip", "netns", "exec", self.namespace)


class Wan:
    """Two namespaces and the wire.  `rtt_s` in seconds, `rate` in bits a second, `loss` as a fraction of packets."""

    def __init__(self, rtt_s: float, loss: float = 0.0, rate: float = GBIT) -> None:
        tag = f"fdt{os.getpid()}-{next(_numbers)}"
        self.near = End(f"{tag}-near", "127.0.0.2", "10.97.0.1")
        self.far = End(f"{tag}-far", "127.0.0.3", "10.97.0.2")
        self.dropped = ""  # what the wire said at its end
        self._devices = (f"{tag}n", f"{tag}f")
        self._wire_arguments = (str(rtt_s), str(rate), str(loss), str(QUEUE_S))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            for end in (self.near, self.far):
                _run("ip", "netns", "add", end.namespace)
                self._stack.callback(_run, "ip", "netns", "del", end.namespace)
                _run("ip", "-n", end.namespace, "link", "set", "lo", "up")
            self._lay_short_wire()
            self._lay_long_wire()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def _lay_short_wire(self) -> None:
        """Connect the control addresses.  They are loopback's, because daemons of root accept commands on no others."""
        near, far = self.near, self.far
        _run(
            *("ip", "-n", near.namespace, "link", "add", "short", "type", "veth"),
            *("peer", "name", "short", "netns", far.namespace),
        )
        for end, other in ((near, far), (far, near)):
            _run("ip", "-n", end.namespace, "link", "set", "short", "up")
            _run(*end.command, "sysctl", "-qw", "net.ipv4.conf.short.route_localnet=1")
            _run(
                *("ip", "-n", end.namespace, "route", "add", "table", "local"),
                *("unicast", other.control, "dev", "short", "src", end.control),
            )

    def _lay_long_wire(self) -> None:
        wire = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.wanlink", *self._devices, *self._wire_arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_PROJECT,
            text=True,
        )
        self._stack.callback(self._take_up, wire)
        assert wire.stdout is not None, "it was asked for"
        if wire.stdout.readline() != "ready\n":
            raise RuntimeError("the wire does not start")
        for end, device in zip((self.near, self.far), self._devices, strict=True):
            _run("ip", "link", "set", device, "netns", end.namespace)
            # The queue in front of a wire that is read by a process holds what comes while the process is away.
            _run("ip", "-n", end.namespace, "link", "set", device, "up", "mtu", "1500", "txqueuelen", "10000")
            _run("ip", "-n", end.namespace, "address", "add", f"{end.data}/24", "dev", device)

    def _take_up(self, wire: subprocess.Popen[str]) -> None:
        with wire:
            try:
                self.dropped, _ = wire.communicate(timeout=_WITHIN_S)
            finally:
                wire.kill()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=_WITHIN_S, stdin=subprocess.DEVNULL)
