"""A laboratory: two daemons on this machine with everything they need, in one directory that can be thrown away.

Decides addresses, certificates and configurations as the demonstration and the tests use them: commands arrive at
127.0.0.2 and 127.0.0.3, the bytes go from 127.1.0.2 and 127.2.0.2 to 127.1.0.3 and 127.2.0.3.  The daemons are started
as separate processes; nothing of them is imported.
"""

from __future__ import annotations

import os
import pwd
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import field
from types import TracebackType
from typing import IO, Final

from fdtcp.errors import Fault, FdtError
from fdtcp.model.pfn import Address
from fdtcp.value import dataclass

# A daemon is ready in half a second; a busy machine takes longer.
READY_WITHIN_S: Final = 20.0
# SIGTERM makes a daemon leave at once; its movers have two seconds.
GONE_WITHIN_S: Final = 8.0


class LabFailed(FdtError):
    """The laboratory could not be set up on this machine."""

    code = "lab-failed"
    fault = Fault.SITE


@dataclass(frozen=True, slots=True)
class LabHost:
    """One of the two hosts; `data` are the addresses of its data interfaces.

    `command` stands before each command that runs there: a laboratory may spread over network namespaces.
    """

    name: str
    control: str
    data: tuple[str, ...]
    command: tuple[str, ...] = ()


SOURCE: Final = LabHost("source", "127.0.0.2", ("127.1.0.2", "127.2.0.2"))
DESTINATION: Final = LabHost("destination", "127.0.0.3", ("127.1.0.3", "127.2.0.3"))
# Where their data comes from.
PEERS: Final = "127.1.0.0/16, 127.2.0.0/16"


@dataclass(slots=True)
class LabDaemon:
    """One running daemon."""

    host: LabHost
    config: str
    log: str
    process: subprocess.Popen[bytes]
    port: int = 0

    @property
    def authority(self) -> str:
        """Return host:port as a Pfn has it."""
        return str(Address(self.host.control, self.port))


@dataclass(slots=True)
class Lab:
    """The laboratory in `directory`.  A context manager.

    `extra` are more lines for fdtd.conf by section, `shared` directories that both hosts may read and write besides
    their own; `peers` are the networks that data may come from.
    """

    directory: str
    extra: Mapping[str, str] = field(default_factory=dict)
    shared: tuple[str, ...] = ()
    hosts: tuple[LabHost, LabHost] = (SOURCE, DESTINATION)
    peers: str = PEERS
    daemons: dict[str, LabDaemon] = field(default_factory=dict)

    @property
    def ca_dir(self) -> str:
        """Return the directory with the CA's certificate."""
        return os.path.join(self.directory, "ca", "certificates")

    @property
    def proxy(self) -> str:
        """Return the user's proxy file."""
        return os.path.join(self.directory, "proxy.pem")

    @property
    def gridmap(self) -> str:
        """Return the map from DNs to accounts, which both daemons use."""
        return os.path.join(self.directory, "grid-mapfile")

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment in which fdtcp is this laboratory's user."""
        return {**os.environ, "X509_USER_PROXY": self.proxy, "X509_CERT_DIR": self.ca_dir}

    def data(self, host: LabHost) -> str:
        """Return the directory below which that host reads and writes."""
        return os.path.join(self.directory, host.name, "data")

    def make(self) -> None:
        """Make certificates, the proxy, the grid-mapfile and the configurations."""
        from authsvc import ca
        from authsvc.identity import subject_dn

        authority = ca.init_ca(os.path.join(self.directory, "ca"))
        user = ca.issue_user(authority, "Demo User")
        ca.issue_proxy(user, self.proxy)
        chain, _ = ca.load(user)
        with open(self.gridmap, "w", encoding="utf-8") as file:
            file.write(f'"{subject_dn(chain[0])}" {account()}\n')
        # Two daemons may share an address.
        credentials = {name: ca.issue_host(authority, name) for name in {host.control for host in self.hosts}}
        for host in self.hosts:
            credential = credentials[host.control]
            os.makedirs(self.data(host))
            for name in ("log", "state", "run"):
                os.makedirs(os.path.join(self.directory, host.name, name), mode=0o755)
            with open(self._config(host), "w", encoding="utf-8") as file:
                file.write(self._render(host, credential.cert_path, credential.key_path))

    def start(self, host: LabHost) -> LabDaemon:
        """Start a daemon and wait until it is ready.  Raises LabFailed with what it said."""
        log = os.path.join(self.directory, host.name, "fdtd.out")
        with open(log, "ab") as stderr:
            process = subprocess.Popen(
                [*host.command, sys.executable, "-m", "fdtd.cli", "--config", self._config(host)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                # A Ctrl-C is for us: we stop the transfer first and the daemons then.
                process_group=0,
            )
        daemon = LabDaemon(host, self._config(host), log, process)
        self.daemons[host.name] = daemon
        assert process.stdout is not None, "it was asked for"
        line = _read_line(process.stdout, time.monotonic() + READY_WITHIN_S)
        if "listening on" not in line:
            raise LabFailed(f"the {host.name}'s fdtd does not start: {_tail(log) or line or 'it says nothing'}")
        daemon.port = int(line.rpartition(":")[2])
        return daemon

    def stop(self) -> None:
        """Stop all daemons and wait until they are gone."""
        for daemon in self.daemons.values():
            if daemon.process.poll() is None:
                daemon.process.terminate()
        deadline = time.monotonic() + GONE_WITHIN_S
        for daemon in self.daemons.values():
            try:
                daemon.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                daemon.process.kill()
                daemon.process.wait()
            if daemon.process.stdout is not None:
                daemon.process.stdout.close()

    def pfn(self, host: LabHost, name: str) -> str:
        """Return the Pfn of the file `name` below that host's data directory."""
        return f"fdt://{self.daemons[host.name].authority}{self.data(host)}/{name}"

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _config(self, host: LabHost) -> str:
        return os.path.join(self.directory, host.name, "fdtd.conf")

    def _render(self, host: LabHost, certificate: str, key: str) -> str:
        home = os.path.join(self.directory, host.name)
        prefixes = ", ".join((self.data(host), *self.shared)) + ","
        sections = {
            "service": f"listen = {Address(host.control, 0)},\nlog_dir = {home}/log\nstate_dir = {home}/state\n"
            f"run_dir = {home}/run",
            "security": f"certificate = {certificate}\nkey = {key}\nca_dir = {self.ca_dir}\ngridmap = {self.gridmap}",
            # Everything runs as the user who shows it; for root fdtd wants to be told that this is meant.
            "accounts": f"mode = same\nallow_root_self = {'yes' if os.geteuid() == 0 else 'no'}",
            "data": f"interfaces = {', '.join(host.data)}\npeers = {self.peers}",
            "detached": "sources = 127.0.0.0/8, ::1/128",
            "paths": f"read = {prefixes}\nwrite = {prefixes}",
        }
        for section, lines in self.extra.items():
            sections[section] = f"{sections[section]}\n{lines}" if section in sections else lines
        return "".join(f"[{section}]\n{lines}\n" for section, lines in sections.items())


def account() -> str:
    """Return the name of the account that runs this program."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise LabFailed(
            f"uid {os.geteuid()} has no account", remedy="run it as a user of the password database"
        ) from None


def _read_line(stream: IO[bytes], deadline: float) -> str:
    """Read one line before the deadline; what there is of it by then, if it does not come."""
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                break
            # One byte a time: nothing behind the line is ours to take.
            byte = os.read(stream.fileno(), 1)
            if not byte:
                break
            line += byte
    return line.decode("utf-8", "replace").strip()


def _tail(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return " | ".join(file.read().splitlines()[-5:])
