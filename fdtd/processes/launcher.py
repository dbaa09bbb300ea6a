"""Starting movers under the mapped account.

Decides how a process gets to run as the account (same, sudo, root) and what it inherits: two pipes, a log file, a
cleaned environment, the root directory, nothing else.  What it shall do it reads from its standard input.

All forks come from one thread that lives as long as the daemon: the kernel's parent-death signal fires when the
*thread* that forked ends.
"""

from __future__ import annotations

import logging
import os
import pwd
import queue
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Final

from fdtcp.errors import Phase
from fdtd.errors import MoverNotStarted
from fdtd.site.config import AccountSettings

_log: Final = logging.getLogger("fdtd.launcher")

MODULE: Final = "fdtd.mover.program"
# Nothing of the daemon's own environment: it belongs to another account, and steers programs.
ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/"}
# Measured: a fork takes 4 ms as root, sudo 13-22 ms; a machine that needs longer than this is not usable.
LAUNCH_TIMEOUT_S: Final = 15.0
# A process that survives SIGKILL for so long hangs in the kernel (dead storage), or belongs to sudo.
GONE_TIMEOUT_S: Final = 20.0
LOG_MODE: Final = 0o640

Process = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Launch:
    """One process to be started: for whom, and which log takes its standard error."""

    account: str
    log_path: str


class Launcher:
    """Starts processes; a context manager, because it owns the thread."""

    def __init__(self, accounts: AccountSettings, command: tuple[str, ...] | None = None) -> None:
        """Prepare.  `command` is what runs as the mover (tests have movers of their own)."""
        self._accounts = accounts
        # -I: neither the environment nor the working directory can slip a module in.
        self._command = (*_death_signal(), *(command or (sys.executable, "-I", "-m", MODULE)))
        self._requests: queue.SimpleQueue[tuple[Launch, Future[Process]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="launcher", daemon=True)

    def __enter__(self) -> Launcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._requests.put(None)
        self._thread.join(LAUNCH_TIMEOUT_S)

    def launch(self, account: str, log_path: str) -> Process:
        """Start a mover under `account`; its standard error goes to `log_path`.  Raises MoverNotStarted."""
        future: Future[Process] = Future()
        self._requests.put((Launch(account, log_path), future))
        try:
            return future.result(LAUNCH_TIMEOUT_S)
        except FutureTimeout:
            if not future.cancel():
                # It was being started at this moment; whoever gets it last ends it.
                future.add_done_callback(_dispose)
            raise MoverNotStarted(f"no process within {LAUNCH_TIMEOUT_S:g} s", phase=Phase.PREPARE) from None

    def doubt(self, account: str) -> str:
        """Say what to suspect when a mover of `account` ended without a word; empty where nothing stands between."""
        if self._accounts.mode != "sudo":
            return ""
        return f" before its first word (may sudo start movers as {account}? The sudoers file of fdtd says who)"

    def _run(self) -> None:
        while (request := self._requests.get()) is not None:
            launch, future = request
            if not future.set_running_or_notify_cancel():
                continue
            begun = time.monotonic()
            try:
                process = self._start(launch)
            except (OSError, KeyError, subprocess.SubprocessError) as exc:
                _log.error("event=launch-failed account=%s reason=%r", launch.account, str(exc))
                future.set_exception(
                    MoverNotStarted(f"no process for account {launch.account}: {exc}", phase=Phase.PREPARE)
                )
                continue
            took = (time.monotonic() - begun) * 1000
            _log.debug("event=launched account=%s pid=%d ms=%.1f", launch.account, process.pid, took)
            future.set_result(process)

    def _start(self, launch: Launch) -> Process:
        log = os.open(launch.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, LOG_MODE)
        try:
            if self._accounts.mode == "root":
                entry = pwd.getpwnam(launch.account)
                # All three, or root's groups stay.
                return self._spawn(
                    self._command,
                    log,
                    user=entry.pw_uid,
                    group=entry.pw_gid,
                    groups=os.getgrouplist(entry.pw_name, entry.pw_gid),
                )
            if self._accounts.mode == "sudo":
                # The account was looked up by the system, so it cannot begin with a dash or be an option.
                return self._spawn((self._accounts.sudo, "-n", "-u", launch.account, self._accounts.launcher), log)
            return self._spawn(self._command, log)
        finally:
            os.close(log)

    def _spawn(
        self,
        command: tuple[str, ...],
        log: int,
        user: int | None = None,
        group: int | None = None,
        groups: list[int] | None = None,
    ) -> Process:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            bufsize=0,
            cwd="/",
            env=ENVIRONMENT,
            # A Ctrl-C at the daemon's terminal is the daemon's; it stops its movers in order.
            start_new_session=True,
            umask=0o022,
            user=user,
            group=group,
            extra_groups=groups,
        )


def _death_signal() -> tuple[str, ...]:
    """Return what makes the kernel send SIGTERM, a mover's order to stop, when we die; where the tool is there.

    An extra guard beside the life line.  Not by preexec_fn: code of ours between fork and exec could deadlock in a
    program with threads.  sudo would drop it.
    """
    tool = shutil.which("setpriv", path=ENVIRONMENT["PATH"])
    return (tool, "--pdeathsig", "TERM", "--") if tool else ()


def _dispose(future: Future[Process]) -> None:
    """End a process that came too late for whoever wanted it."""
    if future.exception() is not None:
        return
    process = future.result()
    # Without its life line a mover goes by itself, also where sudo, which runs as root, keeps us from killing it.
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()
    try:
        process.kill()
    except PermissionError:
        _log.warning("event=signal-refused pid=%d signal=SIGKILL", process.pid)
    # Not here: this may be the thread that starts all others, and a process can hang in the kernel.
    threading.Thread(target=_reap, args=(process,), name=f"reap-{process.pid}", daemon=True).start()


def _reap(process: Process) -> None:
    try:
        process.wait(GONE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        _log.error("event=mover-undying pid=%d seconds=%g", process.pid, GONE_TIMEOUT_S)
