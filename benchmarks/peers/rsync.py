"""rsync to its daemon, whole files: comparing with what is there is not what a first copy is about."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.metering import Meter
from benchmarks.peers.base import HOST, Peer, free_port, measured
from benchmarks.work import DESTINATION, SOURCE, Copy, Measurement, Work

_MODULE: Final = "all"


class Rsync(Peer):
    """The client reads, the daemon writes.  It sums what it sends, as we do."""

    programs = ("rsync",)
    packages = ("rsync",)

    def __init__(self, label: str = "rsync") -> None:
        super().__init__(label)

    def prepare(self, places: Sequence[Path]) -> None:
        """Start a daemon; what its module may write is the last of the places."""
        config = self._directory() / "rsyncd.conf"
        # It would write as nobody.
        account = "uid = 0\ngid = 0\n" if os.geteuid() == 0 else ""
        config.write_text(f"use chroot = no\n[{_MODULE}]\npath = {places[-1]}\nread only = no\n{account}")
        self._root = places[-1]
        command = ["rsync", "--daemon", "--no-detach", "--address", HOST, "--config", str(config)]
        port = free_port()
        self._server, self._port = self._serve([*command, "--port", str(port)], port=port)

    def run(self, work: Work) -> Measurement:
        """Copy one file, or the directory with all of them."""
        assert isinstance(work, Copy)
        source = f"{work.source}/{work.names[0] if work.files == 1 else ''}"
        to = f"rsync://{HOST}:{self._port}/{_MODULE}/{work.destination.relative_to(self._root)}/"
        with Meter({DESTINATION: [self._server]}) as meter:
            meter.run(SOURCE, ["rsync", "--recursive", "--times", "--whole-file", source, to])
            if work.is_durable:
                meter.run(DESTINATION, ["sync", "-f", work.destination])
        return measured(meter, work)
