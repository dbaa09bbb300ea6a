"""The real `fdtcp` as a subprocess, in a laboratory of real daemons."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from authsvc import ca
from fdtcp.channels import Identity
from fdtcp.cli.lab import DESTINATION, PEERS, SOURCE, Lab, LabHost
from tests.helpers.dataset import make_file

WITHIN_S = 60.0


@dataclass
class Ended:
    """What a run of fdtcp left."""

    code: int
    output: str
    errors: str
    report: list[list[str]]
    result: dict[str, Any]
    seconds: float

    def states(self) -> list[str]:
        return [file["state"] for file in self.result["files"]]

    def codes(self) -> list[str]:
        return [file["problem"]["code"] if file["problem"] else "" for file in self.result["files"]]


class CliLab:
    """A laboratory, a place for its files, and the command."""

    def __init__(self, lab: Lab, home: Path) -> None:
        self.lab = lab
        self.home = home
        self.source = Path(lab.data(SOURCE))
        self.destination = Path(lab.data(DESTINATION))
        self.report = home / "report"
        self._numbers = iter(range(1_000_000))

    def fresh(self) -> str:
        """Return the name of a directory that no other test uses."""
        return f"test-{next(self._numbers)}"

    def make(self, name: str, size: int = 1000) -> str:
        make_file(self.source / name, size)
        return name

    def pair(self, name: str) -> tuple[str, str]:
        return self.lab.pfn(SOURCE, name), self.lab.pfn(DESTINATION, name)

    def copyjob(self, names: Iterable[str], *, more: Iterable[str] = ()) -> Path:
        path = self.home / "copyjob"
        path.write_text("\n".join([*(" ".join(self.pair(name)) for name in names), *more]))
        return path

    def start(self, *arguments: object, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
        self.report.unlink(missing_ok=True)
        (self.home / "result").unlink(missing_ok=True)
        options = ["--report", self.report, "--json", self.home / "result"]
        return subprocess.Popen(
            [sys.executable, "-m", "fdtcp", *map(str, [*options, *arguments])],
            env=self.lab.environment | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self, process: subprocess.Popen[str], began: float) -> Ended:
        try:
            output, errors = process.communicate(timeout=WITHIN_S)
        finally:
            process.kill()
        seconds = time.monotonic() - began
        report = [line.split() for line in self.report.read_text().splitlines()] if self.report.exists() else []
        result = self.home / "result"
        return Ended(
            process.returncode,
            output,
            errors,
            report,
            json.loads(result.read_text()) if result.exists() else {},
            seconds,
        )

    def run(self, *arguments: object, environment: dict[str, str] | None = None) -> Ended:
        began = time.monotonic()
        return self.wait(self.start(*arguments, environment=environment), began)

    def left_behind(self, name: str) -> list[str]:
        """Return the names of partial files and journals in a directory of the destination."""
        return [path.name for path in (self.destination / name).glob(".*") if path.is_file()]


def wait_until(condition: Callable[[], object], within: float = WITHIN_S) -> None:
    """Wait for a condition before a deadline."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        time.sleep(0.01)


@contextmanager
def cli_lab(
    extra: dict[str, str] | None = None, hosts: tuple[LabHost, LabHost] = (SOURCE, DESTINATION), peers: str = PEERS
) -> Iterator[CliLab]:
    """Make a laboratory with two running daemons."""
    # A short name: a UNIX socket's path has room for 107 bytes.
    with TemporaryDirectory(prefix="fdt-cli-") as directory:
        lab = Lab(directory, extra or {}, hosts=hosts, peers=peers)
        lab.make()
        with lab:
            for host in hosts:
                lab.start(host)
            home = Path(directory) / "home"
            home.mkdir()
            yield CliLab(lab, home)


@contextmanager
def throw_away_identity() -> Iterator[Identity]:
    """Make a CA and a user whom nobody knows."""
    with TemporaryDirectory(prefix="fdt-id-") as directory:
        authority = ca.init_ca(directory)
        proxy = ca.issue_proxy(ca.issue_user(authority, "Nobody"), str(Path(directory) / "proxy"))
        yield Identity(proxy.cert_path, authority.certificates)
