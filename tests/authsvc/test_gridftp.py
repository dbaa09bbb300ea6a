"""A real GridFTP server as judge of delegated proxies: it must take them for their user, and nobody else for him."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from authsvc import delegation
from authsvc.credentials import Credential
from authsvc.delegation import Delegation
from tests.helpers.daemons import own_account, wait_until
from tests.helpers.detachedroom import caller_with
from tests.helpers.pki import Pki

SERVER, CLIENT = "globus-gridftp-server", "globus-url-copy"
HOST = "127.0.0.2"
READY_S = 20.0

pytestmark = pytest.mark.skipif(
    shutil.which(SERVER) is None or shutil.which(CLIENT) is None,
    reason="needs a GridFTP server and client (Debian: globus-gridftp-server-progs, globus-gass-copy-progs)",
)


@dataclass
class GridFtp:
    """A server with GSI on a port of the kernel's choice, whose grid-mapfile knows the user."""

    pki: Pki
    directory: Path
    port: int

    def copy(self, proxy: Credential, source: Path, destination: Path) -> subprocess.CompletedProcess[str]:
        url = f"gsiftp://{HOST}:{self.port}{destination}"
        # The server's name for itself is the first of its certificate, not the address that is called.
        command = [CLIENT, "-s", "/O=fdt-test/CN=localhost", f"file://{source}", url]
        environment = self.environment | {"X509_USER_PROXY": proxy.cert_path}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"X509_CERT_DIR": self.pki.certificates, "HOME": str(self.directory)}

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()


@contextmanager
def gridftp(pki: Pki, directory: Path) -> Iterator[GridFtp]:
    server = GridFtp(pki, directory, 0)
    (directory / "grid-mapfile").write_text(f'"{pki.user_dn}" {own_account()}\n')
    environment = server.environment | {
        "X509_USER_CERT": pki.host.cert_path,
        "X509_USER_KEY": pki.host.key_path,
        "GRIDMAP": str(directory / "grid-mapfile"),
    }
    command = [SERVER, "-control-interface", HOST, "-data-interface", HOST, "-p", "0", "-allow-root"]
    log = ["-log-level", "ALL", "-logfile", str(directory / "log")]
    process = subprocess.Popen(
        [*command, *log], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], READY_S)[0], "the GridFTP server says nothing"
        line = process.stdout.readline()
        assert "listening at" in line, line
        server.port = int(line.rpartition(":")[2])
        yield server
    finally:
        process.terminate()
        process.communicate(timeout=READY_S)


@pytest.fixture
def server(pki: Pki, tmp_path: Path) -> Iterator[GridFtp]:
    with gridftp(pki, tmp_path) as running:
        yield running


def delegated(pki: Pki, credential: Credential, path: Path, *, limited: bool = False) -> Credential:
    daemon = Delegation(caller_with(pki, credential))
    answer = delegation.sign(daemon.begin(), credential, hours=0.5, limited=limited)
    return delegation.store(str(path), daemon.finish(answer))


@pytest.mark.parametrize("limited", [False, True])
def test_a_delegated_proxy_moves_files_as_its_user(pki: Pki, server: GridFtp, tmp_path: Path, limited: bool) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    source.write_bytes(os.urandom(100_000))
    proxy = delegated(pki, pki.proxy, tmp_path / "proxy", limited=limited)
    copied = server.copy(proxy, source, destination)
    assert copied.returncode == 0, copied.stderr
    assert destination.read_bytes() == source.read_bytes()
    # Its log is written a little later than its answers.
    assert wait_until(lambda: pki.user_dn in server.log)


def test_a_delegated_proxy_of_somebody_else_does_not(pki: Pki, server: GridFtp, tmp_path: Path) -> None:
    (tmp_path / "source").write_text("x")
    stranger = pki.make_proxy("gridftp-stranger", pki.make_user("GridFTP Stranger"))
    copied = server.copy(delegated(pki, stranger, tmp_path / "proxy"), tmp_path / "source", tmp_path / "destination")
    assert copied.returncode != 0
    assert not (tmp_path / "destination").exists()
