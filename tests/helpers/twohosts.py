"""Two hosts with several wires between them: two network namespaces and pairs of virtual Ethernet devices.

Decides names and addresses; what happens to a wire is the test's.  Everything lives in the namespaces and ends with
them.  Needs root.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from contextlib import ExitStack
from typing import Final, Self

NEAR: Final = "near"
FAR: Final = "far"
_SIDES: Final = (NEAR, FAR)

_WITHIN_S: Final = 20.0
_numbers = itertools.count(1)


class TwoHosts:
    """Two namespaces; wire number n is the device `wire{n}` on both sides."""

    def __init__(self, wires: int) -> None:
        self._tag = f"fdt{os.getpid()}-{next(_numbers)}"
        self._wires = wires
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            for side in _SIDES:
                _run("ip", "netns", "add", self._namespace(side))
                self._stack.callback(_run, "ip", "netns", "del", self._namespace(side))
                self.ip(side, "link", "set", "lo", "up")
            for wire in range(self._wires):
                name = f"wire{wire}"
                self.ip(
                    *(NEAR, "link", "add", name, "type", "veth"),
                    *("peer", "name", name, "netns", self._namespace(FAR)),
                )
                for side in _SIDES:
                    self.ip(side, "link", "set", name, "up")
                    self.ip(side, "address", "add", f"{self.address(side, wire)}/24", "dev", name)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def address(self, side: str, wire: int) -> str:
        """Return the address of one end of a wire."""
        return f"10.98.{wire}.{1 + _SIDES.index(side)}"

    def addresses(self, side: str) -> tuple[str, ...]:
        """Return the addresses of one side."""
        return tuple(self.address(side, wire) for wire in range(self._wires))

    def command(self, side: str) -> tuple[str, ...]:
        """Return what stands before a command to run it there."""
        return ("ip", "netns", "exec", self._namespace(side))

    def ip(self, side: str, *arguments: str) -> None:
        """Run `ip` on one side."""
        _run("ip", "-n", self._namespace(side), *arguments)

    def swallow_large(self, wire: int, most: int) -> None:
        """Let packets of more than `most` bytes vanish on their way to the far side, without a word to anybody."""
        name, network = f"wire{wire}", f"10.98.{wire}.0/24"
        # A frame of several segments would be let through whole.
        self.ip(NEAR, "link", "set", name, "gso_max_segs", "1")
        self.ip(FAR, "link", "set", name, "mtu", str(most))
        # The far side must not know, or it would ask for small ones.
        far = self.address(FAR, wire)
        self.ip(FAR, "route", "replace", network, "dev", name, "src", far, "advmss", "1460")

    def _namespace(self, side: str) -> str:
        return f"{self._tag}-{side}"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=_WITHIN_S, stdin=subprocess.DEVNULL)
