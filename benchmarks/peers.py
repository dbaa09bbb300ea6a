"""The programs that we are compared with: each a small class that copies files and says nothing.

Decides the fairest way to call each peer: its own options for speed, servers started beforehand, the same files.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Protocol, Self

# A server that is not up by then has failed; its output says why.
START_WITHIN_S: Final = 20.0
COPY_WITHIN_S: Final = 900.0


class Peer(Protocol):
    """Something that can copy one file; used as a context manager, so that servers end with it."""

    name: str

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def copy(self, source: Path, destination: Path) -> None:
        """Copy `source` to `destination`, which does not exist; raises CalledProcessError."""


class Cp:
    """The ceiling: one process, no network."""

    name = "cp"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def copy(self, source: Path, destination: Path) -> None:
        """Copy with the kernel's help, never by reflink: the bytes are the point."""
        subprocess.run(["cp", "--reflink=never", source, destination], check=True, timeout=COPY_WITHIN_S)

    def copy_tree(self, source: Path, destination: Path) -> None:
        """Copy a directory of files."""
        subprocess.run(["cp", "-r", "--reflink=never", source, destination], check=True, timeout=COPY_WITHIN_S)


class GridFtp:
    """globus-url-copy to a globus-gridftp-server on loopback, without authentication, with parallel streams."""

    def __init__(self, streams: int = 1) -> None:
        self.name = f"gridftp -p {streams}"
        self._streams = streams
        self._stack = ExitStack()
        self._port = 0

    def __enter__(self) -> Self:
        home = self._stack.enter_context(tempfile.TemporaryDirectory())
        self._port = free_port()
        # fmt: off
        server = self._stack.enter_context(subprocess.Popen(
            ["globus-gridftp-server", "-aa", "-anonymous-user", "root", "-allow-root",
             "-control-interface", "127.0.0.1", "-data-interface", "127.0.0.1", "-port", str(self._port),
             "-no-detach", "-config-base-path", home],
            cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ))
        # fmt: on
        self._stack.callback(server.terminate)
        wait_listening(self._port)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def copy(self, source: Path, destination: Path) -> None:
        """Copy through the server: the client reads the file, the server writes it."""
        subprocess.run(
            ["globus-url-copy", "-p", str(self._streams), "-fast", f"file://{source}", self._url(destination)],
            check=True,
            timeout=COPY_WITHIN_S,
            stdout=subprocess.DEVNULL,
        )

    def copy_tree(self, source: Path, destination: Path) -> None:
        """Copy a directory of files, with the options that are made for many small ones."""
        subprocess.run(
            ["globus-url-copy", "-cc", "4", "-pp", "-r", "-cd", f"file://{source}/", self._url(destination) + "/"],
            check=True,
            timeout=COPY_WITHIN_S,
            stdout=subprocess.DEVNULL,
        )

    def _url(self, path: Path) -> str:
        return f"ftp://127.0.0.1:{self._port}{path}"


def has_gridftp() -> bool:
    """Say whether both GridFTP programs are installed."""
    return all(shutil.which(name) for name in ("globus-url-copy", "globus-gridftp-server"))


def free_port() -> int:
    """Return a port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_listening(port: int) -> None:
    """Wait until something accepts on `port` of loopback.  Raises TimeoutError."""
    deadline = time.monotonic() + START_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing listens on port {port}") from None
            time.sleep(0.02)
        else:
            return
