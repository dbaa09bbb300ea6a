"""rclone from its own HTTP server: of the servers that it brings the one with the least in between.

WebDAV and SFTP were looked at, too: one goes through a file system layer that stores a file before it passes it on, the
other encrypts.  Over HTTP the client writes the destination with several threads of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.metering import Meter
from benchmarks.peers.base import HOST, Peer, free_port, measured
from benchmarks.work import DESTINATION, SOURCE, Copy, Measurement, Work


class Rclone(Peer):
    """`rclone serve http` reads, `rclone copy` writes, `streams` of a file or files at once."""

    programs = ("rclone",)
    packages = ("rclone",)

    def __init__(self, label: str, streams: int) -> None:
        super().__init__(label)
        self._streams = str(streams)

    def prepare(self, places: Sequence[Path]) -> None:
        """Start the server above the source."""
        self._root = places[0]
        config = self._directory() / "rclone.conf"
        config.write_text("")
        self._config = str(config)
        port = free_port()
        command = ["rclone", "serve", "http", str(places[0]), "--addr", f"{HOST}:{port}", "--config", self._config]
        self._server, self._port = self._serve(command, port=port)

    def run(self, work: Work) -> Measurement:
        """Copy all files of the directory."""
        assert isinstance(work, Copy)
        url = f"http://{HOST}:{self._port}/{work.source.relative_to(self._root)}/"
        # fmt: off
        command = [
            "rclone", "copy", "--config", self._config, "--http-url", url, ":http:", str(work.destination),
            "--multi-thread-cutoff", "64M", "--multi-thread-streams", self._streams,
            "--transfers", self._streams, "--checkers", self._streams,
        ]
        # fmt: on
        with Meter({SOURCE: [self._server]}) as meter:
            meter.run(DESTINATION, command)
            if work.is_durable:
                meter.run(DESTINATION, ["sync", "-f", work.destination])
        return measured(meter, work)
