"""GridFTP: globus-url-copy and globus-gridftp-server, without authentication or with GSI, as sites have it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks.metering import Meter
from benchmarks.peers.base import HOST, Peer, measured
from benchmarks.work import CLIENT, DESTINATION, SOURCE, Copy, Measurement, Work
from fdtcp.cli.lab import account

# fmt: off
_SERVER: Final = (
    "globus-gridftp-server", "-allow-root", "-no-detach", "-port", "0", "-control-interface", HOST,
    "-data-interface", HOST,
)
# fmt: on
# What the server calls itself, rather than its address.
_NAME: Final = "localhost"
_SUBJECT: Final = ("-s", f"/O=fdt-lab/CN={_NAME}")
_LOG_LINE: Final = re.compile(r"^DATE=(\S+) .*? START=(\S+) ", re.MULTILINE)
_LOG_TIME: Final = "%Y%m%d%H%M%S.%f"
_LOG_STEP_S: Final = 1e-6


class GridFtp(Peer):
    """From the client to a server, or with `third_party` from one server to another as we do.

    `options` are the client's: -p N for parallel streams, -cc N and -pp for many files.  With `gsi` client and server
    show certificates, and the client a proxy, on the control channel as on every data channel.

    With `checksum` both ends say that sum of each file and the client compares them.  Servers read it once more for
    that, and know five sums; the client knows MD5 of its own files, so only `third_party` can have ADLER32.
    """

    programs = ("globus-url-copy", "globus-gridftp-server")
    packages = ("globus-gass-copy-progs", "globus-gridftp-server-progs")

    def __init__(
        self,
        label: str,
        options: Sequence[str] = (),
        *,
        third_party: bool = False,
        gsi: bool = False,
        checksum: str = "",
    ) -> None:
        super().__init__(label)
        self._is_gsi = gsi
        self._has_sums = bool(checksum)
        sums = ("-verify-checksum", "-checksum-alg", checksum) if checksum else ()
        self._options = (*(_SUBJECT if gsi else ()), *sums, *options)
        self._is_third_party = third_party

    def prepare(self, places: Sequence[Path]) -> None:  # noqa: ARG002  # it may use any place
        """Start the server of the destination, and of the source if there is to be one."""
        home = self._directory()
        self._environments = _certify(home) if self._is_gsi else (dict(os.environ), dict(os.environ))
        self._log = home / "transfers"
        self._destination, self._port = self._start(home, ["-log-transfer", str(self._log)])
        if self._is_third_party:
            self._source, self._source_port = self._start(home, [])

    def run(self, work: Work) -> Measurement:
        """Copy; the data phase is what the transfer log of the destination's server says.

        That log ends with the bytes, before they are summed, so with sums it is the whole command.
        """
        assert isinstance(work, Copy)
        scheme = "gsiftp" if self._is_gsi else "ftp"
        source = f"file://{work.source}"
        if self._is_third_party:
            source = f"{scheme}://{HOST}:{self._source_port}{work.source}"
        destination = f"{scheme}://{HOST}:{self._port}{work.destination}"
        what = ["-r", "-cd", f"{source}/", f"{destination}/"]
        if work.files == 1:
            what = [f"{source}/{work.names[0]}", f"{destination}/{work.names[0]}"]
        servers = {DESTINATION: [self._destination]}
        if self._is_third_party:
            servers[SOURCE] = [self._source]
        self._log.write_text("")
        with Meter(servers) as meter:
            side = CLIENT if self._is_third_party else SOURCE
            meter.run(side, ["globus-url-copy", "-fast", *self._options, *what], self._environments[0])
            if work.is_durable:
                meter.run(DESTINATION, ["sync", "-f", work.destination])
        is_all = not work.is_durable and not self._has_sums
        seconds = data_seconds(self._log.read_text()) if is_all else None
        if seconds is None:
            return measured(meter, work)
        return measured(meter, work, data_s=seconds, timed_by="the server's transfer log")

    def _start(self, home: Path, options: Iterable[str]) -> tuple[int, int]:
        access = () if self._is_gsi else ("-aa", "-anonymous-user", account())
        command = [*_SERVER, *access, "-config-base-path", home, *options]
        return self._serve(command, said=r"listening at \S*?:(\d+)\s", environment=self._environments[1])


def _certify(home: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Make what GSI needs below `home`; returns the environments of the client and of the server."""
    from authsvc import ca
    from authsvc.identity import subject_dn

    authority = ca.init_ca(str(home / "ca"))
    host = ca.issue_host(authority, _NAME, [HOST])
    user = ca.issue_user(authority, "Somebody")
    proxy = ca.issue_proxy(user, str(home / "proxy"))
    chain, _ = ca.load(user)
    gridmap = home / "grid-mapfile"
    gridmap.write_text(f'"{subject_dn(chain[0])}" {account()}\n')
    both = os.environ | {"X509_CERT_DIR": authority.certificates, "HOME": str(home)}
    server = both | {"X509_USER_CERT": host.cert_path, "X509_USER_KEY": host.key_path, "GRIDMAP": str(gridmap)}
    return both | {"X509_USER_PROXY": proxy.cert_path}, server


def data_seconds(log: str) -> float | None:
    """Return the time from the start of the first transfer to the end of the last one; None if the log has none."""
    found = _LOG_LINE.findall(log)
    if not found:
        return None
    ends, starts = zip(*found, strict=True)
    # A byte may take less than the log can say.
    return max((_time(max(ends)) - _time(min(starts))).total_seconds(), _LOG_STEP_S)


def _time(text: str) -> datetime:
    return datetime.strptime(text, _LOG_TIME)  # noqa: DTZ007  # only differences of them are wanted
