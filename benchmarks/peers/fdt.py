"""Ourselves: the real `fdtcp` between two real daemons, with certificates, third party."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.metering import CommandFailed, Meter
from benchmarks.peers.base import Peer
from benchmarks.work import CLIENT, DESTINATION, SOURCE, Copy, Flow, Measurement, Work
from fdtcp.cli import lab
from fdtcp.cli.lab import Lab, LabHost

LOOPBACK: Final = (lab.SOURCE, lab.DESTINATION)
LOOPBACK_NETWORKS: Final = "127.1.0.0/16, 127.2.0.0/16"
TIMED_BY: Final = "its JSON result: order to send to last outcome"


class Fdtcp(Peer):
    """`fdtcp` with `options` between daemons on `hosts`, which take data from `networks`."""

    def __init__(
        self,
        label: str = "fdtcp",
        options: Sequence[str] = (),
        *,
        hosts: tuple[LabHost, LabHost] = LOOPBACK,
        networks: str = LOOPBACK_NETWORKS,
    ) -> None:
        super().__init__(label)
        self._options = tuple(options)
        self._hosts = hosts
        self._networks = networks

    def prepare(self, places: Sequence[Path]) -> None:
        """Make certificates and start both daemons."""
        self._home = self._directory()
        shared = tuple(str(place) for place in places)
        made = Lab(str(self._home), shared=shared, hosts=self._hosts, peers=self._networks)
        self._lab = self._stack.enter_context(made)
        self._lab.make()
        for host in self._hosts:
            self._lab.start(host)

    def run(self, work: Work) -> Measurement:
        """Run the whole command with authentication; a directory is a copyjobfile with a line for each file."""
        if isinstance(work, Flow):
            streams = ["--streams", str(work.streams)] if work.streams else []
            what = [*streams, "--zero-size", str(work.size), *self._pair("/dev/zero", "/dev/null")]
        elif work.files == 1:
            what = self._pair(*(f"{place}/{work.names[0]}" for place in (work.source, work.destination)))
        else:
            what = ["--copyjobfile", str(self._job_file(work))]
        result = self._home / "result.json"
        source, destination = (self._lab.daemons[host.name].process.pid for host in self._hosts)
        with Meter({SOURCE: [source], DESTINATION: [destination]}) as meter:
            command: list[str | Path] = [*self._hosts[0].command, sys.executable, "-m", "fdtcp", "--json", result]
            meter.run(CLIENT, [*command, *self._options, *what], self._lab.environment)
        (job,) = _read(result)["jobs"]
        if not job["data_seconds"]:
            raise CommandFailed("it has moved nothing")
        return Measurement(
            work.size,
            work.files,
            meter.seconds,
            job["data_seconds"],
            TIMED_BY,
            meter.usage,
            len(job["streams"]),
        )

    def _job_file(self, work: Copy) -> Path:
        """Write what a caller would have: a file that names each source and destination."""
        source, destination = self._prefixes()
        path = self._home / "copyjob"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(
                f"{source}{work.source}/{name} {destination}{work.destination}/{name}\n" for name in work.names
            )
        return path

    def _pair(self, source: str, destination: str) -> list[str]:
        first, second = self._prefixes()
        return [first + source, second + destination]

    def _prefixes(self) -> tuple[str, ...]:
        return tuple(f"fdt://{self._lab.daemons[host.name].authority}" for host in self._hosts)


def _read(result: Path) -> dict[str, Any]:  # Any: JSON
    try:
        found: dict[str, Any] = json.loads(result.read_text())
    except (OSError, ValueError) as exc:
        raise CommandFailed(f"no result: {exc}") from exc
    return found
