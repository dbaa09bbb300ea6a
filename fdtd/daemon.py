"""The daemon put together: what is started in which order, how it runs, and how it leaves.

Decides the order of start (nothing is promised to a caller before all is there) and the bounded time of leaving.
Signals set flags; this module's loop acts on them.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Final

from authsvc.channel import Acceptor, Caller, Handler, own_pyro_settings
from authsvc.credentials import Credential
from authsvc.tokens import Grant, Issuer, TokenJudge
from fdtcp.errors import BadSettings, Side
from fdtd.detached.desk import Desks
from fdtd.detached.jobs import DetachedJobs
from fdtd.detached.store import DetachedStore
from fdtd.errors import AlreadyRunning, DaemonLeaving, StateFailed
from fdtd.live.registry import Registry
from fdtd.live.sweeping import Sweeping
from fdtd.live.tools import TRANSFER_LOGS, Tools
from fdtd.operation.admin import Command, ControlSocket, Status
from fdtd.operation.certificate import CertificateWatch
from fdtd.operation.monitoring import host_name, open_emitter
from fdtd.processes.launcher import Launcher
from fdtd.service import Service, package_version
from fdtd.sessions.states import WORKING
from fdtd.site.accounts import Accounts, check_mode
from fdtd.site.config import Settings, format_endpoint
from fdtd.site.limits import UNLIMITED
from fdtd.site.memory import Memory
from fdtd.site.paths import PathPolicy
from fdtd.site.ports import PortLeases
from fdtd.state.statefile import StateFile

_log: Final = logging.getLogger("fdtd")

# How late a deadline of a session can be noticed.
TICK_S: Final = 0.2
# Leaving now: what HURRY (fdtd.sessions.patience) adds up to, and a little.
STOP_S: Final = 5.0
# Then clients get a moment to read what became of their files.
FAREWELL_S: Final = 1.0
# The daemon's directories are for its own account and group.
DIRECTORY_MODE: Final = 0o750


class Signals:
    """Flags that signal handlers set, and a wait that signals end early."""

    def __init__(self) -> None:
        self.leave_now = False
        self.leave_when_idle = False
        self._wake, self._woken = socket.socketpair()

    def __enter__(self) -> Signals:
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_leave_now)
        signal.signal(signal.SIGINT, self._on_leave_now)
        signal.signal(signal.SIGHUP, self._on_leave_when_idle)
        return self

    def __exit__(self, *_: object) -> None:
        # Not back to the defaults: a second Ctrl-C must not break into the clean-up.
        signal.set_wakeup_fd(-1)
        self._wake.close()
        self._woken.close()

    def _on_leave_now(self, *_: object) -> None:
        self.leave_now = True

    def _on_leave_when_idle(self, *_: object) -> None:
        self.leave_when_idle = True

    def wait(self, timeout: float) -> None:
        """Wait until a signal comes or `timeout` seconds pass."""
        if select.select([self._woken], [], [], timeout)[0]:
            self._woken.recv(4096)


class Daemon:
    """One daemon of this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._certificate = CertificateWatch(Credential(settings.security.certificate, settings.security.key))
        self._started = time.monotonic()

    def check(self) -> None:
        """Try what can be tried beside a running daemon.  Raises the FdtError that a start would meet."""
        check_mode(self._settings)
        self._certificate.start()
        make_directories(self._settings)
        accounts = Accounts(self._settings)
        accounts.check()
        self._acceptor(accounts, _nobody)

    def run(self, ready: Callable[[str], None]) -> None:
        """Serve until a signal says to leave; `ready` hears where it listens.  Raises FdtError if it cannot start."""
        settings = self._settings
        check_mode(settings)
        own_pyro_settings()
        make_directories(settings)
        with ExitStack() as stack:
            self._certificate.start()
            signals = stack.enter_context(Signals())
            stack.enter_context(locked(settings.service.state_dir))
            state = stack.enter_context(closing(StateFile(settings.service.state_dir)))
            launcher = stack.enter_context(Launcher(settings.accounts))
            sweeping = stack.enter_context(self._sweeping(launcher, state))
            registry = Registry(settings.session, state, settings.data.total_rate)
            ports = PortLeases(*settings.data.port_range)
            memory = Memory(settings.session.max_memory, settings.session.max_memory_per_user)
            emitter = stack.enter_context(closing(open_emitter(settings)))
            tools = Tools(
                launcher,
                state,
                ports,
                sweeping.start_sweep,
                settings.service.log_dir,
                settings.keep_partials,
                emitter.emit,
                host_name(settings),
                memory,
                settings.storage,
            )
            service = Service(settings, registry, tools, path_policies(settings))
            accounts = Accounts(settings)
            store = stack.enter_context(closing(DetachedStore(settings.service.state_dir)))
            jobs = DetachedJobs(settings, store, service.answer, accounts.recheck)
            jobs.recover(state)
            desks = Desks(jobs, memory, settings.security.rules.identity)
            acceptor = self._acceptor(accounts, lambda caller: desks.handler_for(caller, service.handler_for(caller)))
            acceptor.start()
            stack.callback(acceptor.stop)
            sweeping.start(settings.session.outcomes_kept)
            commands: dict[str, Command] = {
                "status": lambda _: self._status(registry, ports, jobs),
                "rate": partial(_set_rate, registry),
            }
            stack.enter_context(ControlSocket(settings.service.run_dir, commands))
            where = ", ".join(format_endpoint(host, port) for host, port in acceptor.addresses)
            took = time.monotonic() - self._started
            _log.info("event=ready version=%s listen=%r seconds=%.3f", package_version(), where, took)
            ready(where)
            _serve(signals, registry, jobs, acceptor.is_banned, self._certificate)
            _leave(registry, jobs)
        _log.info("event=left")

    def _acceptor(self, accounts: Accounts, handler_for: Callable[[Caller], Handler]) -> Acceptor:
        security = self._settings.security
        return Acceptor(
            listen=self._settings.service.listen,
            credential=Credential(security.certificate, security.key),
            ca_dir=security.ca_dir,
            authorise=accounts.authorise,
            handler_for=handler_for,
            version=package_version(),
            judge_token=_token_judge(self._settings),
            rules=security.rules,
        )

    def _sweeping(self, launcher: Launcher, state: StateFile) -> Sweeping:
        prefixes = PathPolicy.of(Side.DESTINATION, self._settings.paths.write).prefixes
        settings = self._settings
        log_dir, keep = settings.service.log_dir, settings.keep_partials
        return Sweeping(launcher, state, log_dir, prefixes, keep, settings.storage)

    def _status(self, registry: Registry, ports: PortLeases, jobs: DetachedJobs) -> Status:
        now = time.monotonic()
        return {
            "version": package_version(),
            "pid": os.getpid(),
            "uptime": round(now - self._started, 1),
            "total_rate": registry.total_rate,
            "sessions": [live.status(now) for live in registry.all()],
            "detached": jobs.status(),
            "leases": {format_endpoint(one.address, one.port): job for one, job in ports.held().items()},
        }


def _set_rate(registry: Registry, command: Mapping[str, object]) -> Status:
    """Do the administrator's command.  Raises ValueError."""
    rate = command.get("rate")
    if type(rate) is not int or not 0 <= rate < UNLIMITED:
        raise ValueError("a rate is a whole number of bytes per second, 0 for none")
    registry.set_total_rate(rate)
    _log.info("event=total-rate rate=%d sessions=%d", rate, len(registry.running()))
    return {"total_rate": rate, "sessions": len(registry.running())}


def _token_judge(settings: Settings) -> Callable[[str], Grant] | None:
    if not settings.issuers:
        return None
    issuers = [Issuer(one.issuer, one.keys, one.audiences, one.base_path) for one in settings.issuers]
    return TokenJudge(issuers).judge


def make_directories(settings: Settings) -> None:
    """Make the daemon's own directories where they are missing.  Raises BadSettings."""
    service = settings.service
    for name in ("log_dir", "state_dir", "run_dir"):
        path = getattr(service, name)
        try:
            os.makedirs(path, DIRECTORY_MODE, exist_ok=True)
            if not os.access(path, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "not writable")
        except OSError as exc:
            raise BadSettings(f"[service] {name}: cannot use {path}: {exc.strerror}") from exc
    os.makedirs(os.path.join(service.log_dir, TRANSFER_LOGS), DIRECTORY_MODE, exist_ok=True)


@contextmanager
def locked(state_dir: str) -> Iterator[None]:
    """Hold the state directory.  Raises AlreadyRunning that names the other daemon's process."""
    descriptor = os.open(os.path.join(state_dir, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = file.read(20).strip()
            raise AlreadyRunning(f"another fdtd (process {pid}) uses the state directory {state_dir}") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def path_policies(settings: Settings) -> dict[Side, PathPolicy]:
    """Return the policies for early refusals: users may also say where a symlink among the prefixes leads."""
    return {
        side: PathPolicy.of(side, [*prefixes, *map(os.path.realpath, prefixes)])
        for side, prefixes in ((Side.SOURCE, settings.paths.read), (Side.DESTINATION, settings.paths.write))
    }


def _serve(
    signals: Signals,
    registry: Registry,
    jobs: DetachedJobs,
    is_banned: Callable[[str], bool],
    certificate: CertificateWatch,
) -> None:
    while not signals.leave_now:
        signals.wait(TICK_S)
        part_with_banned(registry, jobs, is_banned)
        certificate.tick()
        _tick(registry, jobs)
        if signals.leave_when_idle:
            registry.leave()
            jobs.refuse_new()
            # An ended session waits for its client to read the outcomes, or to be given up for lost.
            if jobs.is_idle and not registry.all():
                return


def part_with_banned(registry: Registry, jobs: DetachedJobs, is_banned: Callable[[str], bool]) -> None:
    """Stop what runs for users whom the site has banned since; what is safe on disk is kept, as for a lost client."""
    jobs.part_with(is_banned)
    for live in registry.running():
        if live.session.state in WORKING and is_banned(live.key.dn):
            _log.warning("event=banned job=%s side=%s dn=%r", live.key.job, live.key.side, live.key.dn)
            live.stop("its owner was banned from this site")


def _tick(registry: Registry, jobs: DetachedJobs) -> None:
    try:
        registry.tick(time.monotonic())
        jobs.tick(time.monotonic())
    except StateFailed as exc:
        _log.error("event=state-failed reason=%r", exc.reason)


def _leave(registry: Registry, jobs: DetachedJobs) -> None:
    """Stop everything, within STOP_S and FAREWELL_S."""
    registry.leave()
    jobs.leave()
    _log.info("event=leaving sessions=%d", len(registry.running()))
    for live in registry.running():
        live.stop("the daemon was stopped", hurry=True)
    deadline = time.monotonic() + STOP_S
    while (running := registry.running()) and time.monotonic() < deadline:
        _tick(registry, jobs)
        running[0].wait_ended(TICK_S / 4)
    for live in registry.running():
        _log.error("event=left-running job=%s", live.key.job)
        live.kill()
    for live in registry.all():
        live.wait_process_gone(max(0.0, deadline - time.monotonic()))
    deadline = time.monotonic() + FAREWELL_S
    while registry.all() and time.monotonic() < deadline:
        _tick(registry, jobs)
        time.sleep(TICK_S / 4)
    jobs.wait_ended(deadline)


def _nobody(caller: Caller) -> Handler:
    raise DaemonLeaving(f"{caller.identity.dn} called while the configuration was only checked")
