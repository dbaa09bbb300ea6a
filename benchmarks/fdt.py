"""Ourselves as a peer: the real `fdtcp` between two real daemons, with certificates."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from benchmarks.peers import COPY_WITHIN_S
from fdtcp.cli.lab import DESTINATION, SOURCE, Lab


class Fdtcp:
    """`fdtcp` with `options`, between two daemons that may use the directories `places`."""

    def __init__(self, places: Sequence[Path], options: Sequence[str] = (), name: str = "fdtcp") -> None:
        self.name = name
        self.result: dict[str, Any] = {}  # Any: JSON; what --json said of the last copy
        self._places = tuple(str(place) for place in places)
        self._options = tuple(options)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        home = self._stack.enter_context(tempfile.TemporaryDirectory())
        self._lab = self._stack.enter_context(Lab(home, shared=self._places))
        self._result = Path(home, "result.json")
        self._lab.make()
        for host in (SOURCE, DESTINATION):
            self._lab.start(host)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def copy(self, source: Path, destination: Path) -> None:
        """Copy one file, third party: the whole command with authentication, until it is durable."""
        urls = [
            f"fdt://{self._lab.daemons[host.name].authority}{path}"
            for host, path in ((SOURCE, source), (DESTINATION, destination))
        ]
        subprocess.run(
            [sys.executable, "-m", "fdtcp", "--json", self._result, *self._options, *urls],
            env=self._lab.environment,
            check=True,
            timeout=COPY_WITHIN_S,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        self.result = json.loads(self._result.read_text())
