"""A real `fdtd` in a process of its own, and a client that speaks the contract with it.

    with RunningDaemon(directory, pki, data={"interfaces": "127.1.0.2,"}) as daemon:
        with daemon.connect(pki.proxy) as client:
            client.ask(About())

Directories, the grid-mapfile and the configuration are below `directory`; port 0 lets the kernel choose.
"""

from __future__ import annotations

import os
import pwd
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import psutil

from authsvc.channel import Connection, Value
from authsvc.credentials import Credential
from fdtcp.contract import Reply, Request, decode_reply, encode_request
from tests.helpers.pki import Pki

# Start-up takes 0.5 s here; other builders and tests share the machine.
READY_S = 20.0
GONE_S = 12.0
CALL_S = 20.0

Section = Mapping[str, str]


def own_account() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def write_config(
    directory: Path, pki: Pki, sections: Mapping[str, Section], *, mapping: str | None = None, host: str = "127.0.0.2"
) -> Path:
    """Write fdtd.conf and grid-mapfile; `sections` are laid over what a test on loopback needs."""
    directory.mkdir(parents=True, exist_ok=True)
    gridmap = directory / "grid-mapfile"
    gridmap.write_text(mapping if mapping is not None else f'"{pki.user_dn}" {own_account()}\n')
    whole: dict[str, dict[str, str]] = {
        "service": {
            "listen": f"{host}:0,",
            "log_dir": str(directory / "log"),
            "state_dir": str(directory / "state"),
            "run_dir": str(directory / "run"),
            "log_level": "DEBUG",
        },
        "security": {
            "certificate": pki.host.cert_path,
            "key": pki.host.key_path,
            "ca_dir": pki.certificates,
            "gridmap": str(gridmap),
        },
        "accounts": {"mode": "same", "allow_root_self": "yes"},
        "data": {"interfaces": "127.1.0.2,", "peers": "127.0.0.0/8,"},
        "detached": {"sources": "127.0.0.0/8,"},
    }
    for name, section in sections.items():
        whole.setdefault(name, {}).update(section)
    path = directory / "fdtd.conf"
    lines = [f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in section.items()) for name, section in whole.items()]
    path.write_text("\n".join(lines))
    return path


def run_fdtd(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command = [sys.executable, "-m", "fdtd.cli", "--config", str(config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=READY_S, check=False)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False  # it went after it had been listed


def wait_until(condition: Callable[[], bool], seconds: float = GONE_S) -> bool:
    """Poll a condition that nothing tells us of; say whether it came true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class Client:
    """A connection that speaks the contract."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(self, request: Request) -> Reply:
        """Call; raises what the connection raises."""
        name, argument = encode_request(request)
        return decode_reply(request, self.connection.call(name, cast("dict[str, Value]", argument), CALL_S))


class RunningDaemon:
    """fdtd in the foreground of its own process; a context manager that leaves nothing running."""

    def __init__(
        self,
        directory: Path,
        pki: Pki,
        *,
        mapping: str | None = None,
        host: str = "127.0.0.2",
        sections: Mapping[str, Section] | None = None,
    ) -> None:
        self.directory = directory
        self.pki = pki
        self.host = host
        self.port = 0
        self.config = write_config(directory, pki, sections or {}, mapping=mapping, host=host)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> RunningDaemon:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(GONE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._close()

    def start(self) -> None:
        """Start and wait for the line that says where it listens."""
        command = [sys.executable, "-m", "fdtd.cli", "--config", str(self.config)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None and self._process.stderr is not None
        line = ""
        if select.select([self._process.stdout], [], [], READY_S)[0]:
            line = self._process.stdout.readline()
        if not line.startswith("fdtd ready: listening on "):
            self._process.kill()
            said = self._process.stderr.read()
            self._close()
            raise AssertionError(f"fdtd did not start: {line!r} {said!r}")
        self.port = int(line.strip().rpartition(":")[2])

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def connect(self, credential: Credential | None = None) -> Client:
        """Open a connection as the user."""
        return Client(
            Connection.open(
                self.host,
                self.port,
                credential=credential or self.pki.proxy,
                ca_dir=self.pki.certificates,
                deadline=time.monotonic() + CALL_S,
            )
        )

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the daemon only."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it with -9 and collect it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(GONE_S)
        self._close()

    def wait_gone(self, seconds: float = GONE_S) -> int:
        """Wait for its own end; return the exit code."""
        assert self._process is not None
        code = self._process.wait(seconds)
        self._close()
        return code

    def movers(self) -> list[psutil.Process]:
        """Return the mover processes that it has now."""
        return [child for child in psutil.Process(self.pid).children(recursive=True) if _is_alive(child)]

    def log(self) -> str:
        """Return the daemon's log."""
        return (self.directory / "log" / "fdtd.log").read_text()

    def _close(self) -> None:
        if self._process is not None and self._process.stdout is not None and self._process.stderr is not None:
            self._process.wait(GONE_S)
            self._process.stdout.close()
            self._process.stderr.close()
