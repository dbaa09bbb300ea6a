"""A real `myproxy-server`, and `myproxy-init` to deposit at it.

In debug mode, the only one that needs no system account, it serves one connection and ends; so it is started again and
again.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

from authsvc.credentials import Credential
from tests.helpers.daemons import wait_until
from tests.helpers.pki import Pki

HOST = "localhost"
WITHIN_S = 30.0
# TCP_LISTEN of the kernel, as /proc has it.
_LISTEN = "0A"
PROGRAMS = ("myproxy-server", "myproxy-init", "myproxy-logon")


def missing() -> list[str]:
    """Return which of the programs are not installed."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


class MyproxyServer:
    """The server and its store; a context manager that leaves nothing running."""

    def __init__(self, directory: Path, pki: Pki) -> None:
        self._pki = pki
        self._store = directory / "store"
        self._store.mkdir(mode=0o700)
        self._config = directory / "myproxy-server.config"
        self._config.write_text('accepted_credentials "*"\nauthorized_renewers "*"\ndefault_renewers "none"\n')
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port: int = sock.getsockname()[1]
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._is_ready = False
        self._served = 0
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._loop, name="myproxy")
        self.said: list[str] = []

    def __enter__(self) -> MyproxyServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._process is not None:
            self._process.kill()
        self._thread.join(WITHIN_S)

    def wait_ready(self) -> None:
        """Wait until it takes a connection."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._is_ready, WITHIN_S), self.said[-10:]

    def deposit(self, user: Credential, username: str, name: str, *, renewer: str, hours: int = 100) -> None:
        """Deposit a credential that `renewer` may renew, as its owner does with myproxy-init."""
        self.wait_ready()
        before = self._served
        command = ["myproxy-init", "-s", HOST, "-p", str(self.port), "-k", name, "-x", "-R", renewer, "-c", str(hours)]
        command += ["-C", user.cert_path, "-y", user.key_path]
        command += ["-l", username] if username else ["-d"]
        environment = self._environment(user)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=WITHIN_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        with self._changed:
            assert self._changed.wait_for(lambda: self._served > before, WITHIN_S)

    def _environment(self, credential: Credential) -> dict[str, str]:
        own = {"X509_USER_CERT": credential.cert_path, "X509_USER_KEY": credential.key_path}
        return os.environ | own | {"X509_CERT_DIR": self._pki.certificates}

    def _loop(self) -> None:
        command = ["myproxy-server", "-d", "-v", "-p", str(self.port), "-l", HOST]
        command += ["-c", str(self._config), "-s", str(self._store)]
        while not self._stopping.is_set():
            self._process = subprocess.Popen(
                command, env=self._environment(self._pki.host), stderr=subprocess.PIPE, text=True
            )
            assert self._process.stderr is not None
            with self._process.stderr as stderr:
                for line in stderr:
                    self.said.append(line.rstrip())
                    if line.startswith("Starting myproxy-server"):
                        # It says so before it listens.
                        self._note(is_ready=wait_until(self._is_listening, WITHIN_S))
                        if self._stopping.is_set():
                            self._process.kill()
            self._process.wait(WITHIN_S)
            self._note(is_ready=False)

    def _is_listening(self) -> bool:
        """Whether somebody listens on its port; a connection to find out would be the one that it serves."""
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
            if any(row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == self.port for row in rows):
                return True
        return False

    def _note(self, *, is_ready: bool) -> None:
        with self._changed:
            self._is_ready = is_ready
            self._served += not is_ready
            self._changed.notify_all()
