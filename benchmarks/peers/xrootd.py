"""xrdcp to an xrootd server, without authentication."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.metering import Meter
from benchmarks.peers.base import HOST, Peer, measured
from benchmarks.work import DESTINATION, SOURCE, Copy, Measurement, Work

# It refuses to run as root; what it may write is writable for everybody.
_ACCOUNT: Final = "nobody"


class Xrootd(Peer):
    """The client reads, the server writes; `options` are the client's: --streams N, --parallel N for many files.

    It sums every page by default, which is most of what it does; without `has_sums` it does not.
    """

    programs = ("xrdcp", "xrootd")
    packages = ("xrootd-client", "xrootd-server")

    def __init__(self, label: str, options: Sequence[str] = (), *, has_sums: bool = True) -> None:
        super().__init__(label)
        self._environment = os.environ | ({} if has_sums else {"XRD_CPUSEPGWRTRD": "0"})
        self._options = tuple(options)

    def prepare(self, places: Sequence[Path]) -> None:
        """Start a server that exports the place of the destination."""
        home = self._directory()
        self._list = home / "names"
        config = home / "xrootd.cfg"
        lines = ["xrd.port any", "xrd.network nodnr", f"all.adminpath {home}", f"all.pidpath {home}"]
        config.write_text("\n".join([*lines, f"all.export {places[-1]}", ""]))
        account: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(home, _ACCOUNT)
            account = ["-R", _ACCOUNT]
        command: list[str | Path] = ["xrootd", "-c", config, "-I", "v4", *account]
        self._server, self._port = self._serve(command, said=r"------ xrootd .*?:(\d+) initialization completed")

    def run(self, work: Work) -> Measurement:
        """Copy one file, or the directory with all of them."""
        assert isinstance(work, Copy)
        url = f"root://{HOST}:{self._port}/{work.destination}"
        what: list[str | Path] = [work.source / work.names[0], f"{url}/{work.names[0]}"]
        if work.files > 1:
            # With --recursive it would make another directory.
            self._list.write_text("".join(f"{work.source / name}\n" for name in work.names))
            what = ["--infiles", self._list, f"{url}/"]
        with Meter({DESTINATION: [self._server]}) as meter:
            meter.run(SOURCE, ["xrdcp", "--nopbar", "--silent", *self._options, *what], self._environment)
            if work.is_durable:
                meter.run(DESTINATION, ["sync", "-f", work.destination])
        return measured(meter, work)
