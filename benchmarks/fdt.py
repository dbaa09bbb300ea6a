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
from fdtcp.cli.lab import DESTINATION, SOURCE, Lab, LabHost


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
        self._run([self._url(SOURCE, source), self._url(DESTINATION, destination)])

    def copy_tree(self, source: Path, destination: Path) -> None:
        """Copy a directory of files: a copyjobfile, which is part of the command, names each of them."""
        lines = [
            f"{self._url(SOURCE, file)} {self._url(DESTINATION, destination / file.name)}\n"
            for file in sorted(source.iterdir())
        ]
        jobfile = self._result.with_name("copyjob")
        jobfile.write_text("".join(lines))
        self._run(["--copyjobfile", str(jobfile)])

    def _url(self, host: LabHost, path: Path) -> str:
        return f"fdt://{self._lab.daemons[host.name].authority}{path}"

    def _run(self, arguments: Sequence[str]) -> None:
        subprocess.run(
            [sys.executable, "-m", "fdtcp", "--json", self._result, *self._options, *arguments],
            env=self._lab.environment,
            check=True,
            timeout=COPY_WITHIN_S,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        self.result = json.loads(self._result.read_text())
