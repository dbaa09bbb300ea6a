"""A real `authsvc serve` in a process of its own; it can be stopped, frozen and started again on its port."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from authsvc.credentials import Credential
from tests.helpers.pki import Pki

READY_S = 20.0
HOST = "127.0.0.2"


class AccountService:
    """The service, its maps and its log; a context manager that leaves nothing running."""

    def __init__(self, directory: Path, pki: Pki, *, callers: tuple[str, ...]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = 0
        self._pki = pki
        self._callers = callers
        self._credential: Credential = pki.host
        self.gridmap = directory / "grid-mapfile"
        self.gridmap.write_text("# nobody\n")
        self.fqanmap = directory / "fqan-mapfile"
        self.fqanmap.write_text("# nobody\n")
        self.config = directory / "authsvc.conf"
        self._log = directory / "log"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> AccountService:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait for the line that says where it listens; a second time on the same port."""
        callers = "".join(f'"{dn}",' for dn in self._callers) or ","
        self.config.write_text(
            f"[service]\nlisten = {HOST}:{self.port},\ncallers = {callers}\n"
            f"[security]\ncertificate = {self._credential.cert_path}\nkey = {self._credential.key_path}\n"
            f"ca_dir = {self._pki.certificates}\n"
            f"[accounts]\ngridmap = {self.gridmap}\nfqanmap = {self.fqanmap}\n"
        )
        command = [sys.executable, "-m", "authsvc", "serve", "--config", str(self.config)]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        line = ""
        if select.select([self._process.stdout], [], [], READY_S)[0]:
            line = self._process.stdout.readline()
        if not line.startswith("authsvc ready: listening on "):
            self.stop()
            raise AssertionError(f"authsvc did not start: {line!r} {self.log()!r}")
        self.port = int(line.strip().rpartition(":")[2])

    def stop(self) -> int:
        """Stop it and return its exit code."""
        assert self._process is not None and self._process.stdout is not None
        if self._process.poll() is None:
            self.thaw()
            self._process.terminate()
            try:
                self._process.wait(READY_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.stdout.close()
        return self._process.wait(READY_S)

    def freeze(self) -> None:
        """Let it hang: connections are accepted by the kernel, and nobody answers."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def send_signal(self, number: signal.Signals) -> None:
        """Signal it."""
        assert self._process is not None
        self._process.send_signal(number)

    def log(self) -> str:
        """Return what it has logged."""
        return self._log.read_text()
