"""GridFTP: globus-url-copy and globus-gridftp-server, without authentication."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks.metering import Meter
from benchmarks.peers.base import HOST, Peer, measured
from benchmarks.work import CLIENT, DESTINATION, SOURCE, Copy, Measurement, Work

# fmt: off
_SERVER: Final = (
    "globus-gridftp-server", "-aa", "-anonymous-user", "root", "-allow-root", "-no-detach", "-port", "0",
    "-control-interface", HOST, "-data-interface", HOST,
)
# fmt: on
_LOG_LINE: Final = re.compile(r"^DATE=(\S+) .*? START=(\S+) ", re.MULTILINE)
_LOG_TIME: Final = "%Y%m%d%H%M%S.%f"


class GridFtp(Peer):
    """From the client to a server, or with `third_party` from one server to another as we do.

    `options` are the client's: -p N for parallel streams, -cc N and -pp for many files.
    """

    programs = ("globus-url-copy", "globus-gridftp-server")
    packages = ("globus-gass-copy-progs", "globus-gridftp-server-progs")

    def __init__(self, label: str, options: Sequence[str] = (), *, third_party: bool = False) -> None:
        super().__init__(label)
        self._options = tuple(options)
        self._is_third_party = third_party

    def prepare(self, places: Sequence[Path]) -> None:  # noqa: ARG002  # it may use any place
        """Start the server of the destination, and of the source if there is to be one."""
        home = self._directory()
        self._log = home / "transfers"
        self._destination, self._port = self._start(home, ["-log-transfer", str(self._log)])
        if self._is_third_party:
            self._source, self._source_port = self._start(home, [])

    def run(self, work: Work) -> Measurement:
        """Copy; the data phase is what the transfer log of the destination's server says."""
        assert isinstance(work, Copy)
        source = f"ftp://{HOST}:{self._source_port}{work.source}" if self._is_third_party else f"file://{work.source}"
        destination = f"ftp://{HOST}:{self._port}{work.destination}"
        what = ["-r", "-cd", f"{source}/", f"{destination}/"]
        if work.files == 1:
            what = [f"{source}/{work.names[0]}", f"{destination}/{work.names[0]}"]
        servers = {DESTINATION: [self._destination]}
        if self._is_third_party:
            servers[SOURCE] = [self._source]
        self._log.write_text("")
        with Meter(servers) as meter:
            side = CLIENT if self._is_third_party else SOURCE
            meter.run(side, ["globus-url-copy", "-fast", *self._options, *what])
            if work.is_durable:
                meter.run(DESTINATION, ["sync", "-f", work.destination])
        seconds = None if work.is_durable else data_seconds(self._log.read_text())
        if seconds is None:
            return measured(meter, work)
        return measured(meter, work, data_s=seconds, timed_by="the server's transfer log")

    def _start(self, home: Path, options: Iterable[str]) -> tuple[int, int]:
        return self._serve([*_SERVER, "-config-base-path", home, *options], said=r"listening at \S*?:(\d+)\s")


def data_seconds(log: str) -> float | None:
    """Return the time from the start of the first transfer to the end of the last one; None if the log has none."""
    found = _LOG_LINE.findall(log)
    if not found:
        return None
    ends, starts = zip(*found, strict=True)
    return (_time(max(ends)) - _time(min(starts))).total_seconds()


def _time(text: str) -> datetime:
    return datetime.strptime(text, _LOG_TIME)  # noqa: DTZ007  # only differences of them are wanted
