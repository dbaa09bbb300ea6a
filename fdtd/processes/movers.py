"""One running mover, seen from the daemon: its pipes and its end.

Decides how bytes become orders and messages, and that nothing which a mover does or omits can hold the daemon: lines
have a length, writes have a deadline, and an exit is noticed by the kernel's word, not by the pipe's.  What messages
mean is decided in `fdtd.sessions.machine`.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Final

from fdtcp.errors import FdtError
from fdtcp.model.order import Message, Order
from fdtcp.model.pipe import Lines, decode_message_line, encode_line
from fdtd.processes.launcher import GONE_TIMEOUT_S, Process

_log: Final = logging.getLogger("fdtd.movers")

# A mover reads its orders at all times: it is how it notices our end.  One that does not for so long is broken.
WRITE_TIMEOUT_S: Final = 30.0
# After its output has ended: a program of ours has nothing left to do but to exit.
CLOSED_TIMEOUT_S: Final = 5.0
# What is in a pipe when its writer ends is at most 1 MiB.
LAST_WORDS_S: Final = 2.0
# What a pipe holds unless somebody has made it larger.
_READ_BYTES: Final = 64 << 10
_SLICE_MS: Final = 200


class RunningMover:
    """A mover process and the two threads that talk to it.

    `on_message` and `on_garbage` run in the reading thread, as does `on_exit`, which is called exactly once, last.
    """

    def __init__(
        self,
        process: Process,
        on_message: Callable[[Message], None],
        on_garbage: Callable[[FdtError], None],
        on_exit: Callable[[str], None],
    ) -> None:
        self.pid = process.pid
        self._process = process
        self._on_message = on_message
        self._on_garbage = on_garbage
        self._on_exit = on_exit
        self._orders: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._cut = threading.Event()
        self._gone = threading.Event()
        assert process.stdin is not None and process.stdout is not None
        self._stdin = process.stdin.fileno()
        self._stdout = process.stdout.fileno()
        self._pidfd = os.pidfd_open(process.pid)
        # The number of a closed descriptor is soon somebody else's.
        self._signalling = threading.Lock()
        os.set_blocking(self._stdin, False)
        os.set_blocking(self._stdout, False)
        self._writer = threading.Thread(target=self._write_loop, name=f"mover-{self.pid}-orders", daemon=True)
        self._reader = threading.Thread(target=self._read_loop, name=f"mover-{self.pid}-words", daemon=True)

    def start(self) -> None:
        """Begin to listen to it."""
        self._writer.start()
        self._reader.start()

    def send(self, order: Order) -> None:
        """Give it an order; returns at once."""
        self._orders.put(encode_line(order))

    def cut_life_line(self) -> None:
        """Close its input, after what has been ordered already if it takes that in."""
        self._cut.set()
        self._orders.put(None)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._signal(signal.SIGKILL)

    def wait_gone(self, timeout: float) -> bool:
        """Wait until the process is gone and `on_exit` has returned; say whether that is so."""
        return self._gone.wait(timeout)

    def _signal(self, number: signal.Signals) -> None:
        with self._signalling:
            if self._pidfd < 0:
                return
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                pass  # it went by itself
            except PermissionError:
                # sudo runs as root; the life line ends what it started.
                _log.warning("event=signal-refused pid=%d signal=%s", self.pid, number.name)

    # orders

    def _write_loop(self) -> None:
        try:
            while (line := self._orders.get()) is not None:
                self._write(line)
        except BrokenPipeError:
            pass  # it is gone; the reading thread says so
        except TimeoutError:
            _log.error("event=mover-deaf pid=%d seconds=%g", self.pid, WRITE_TIMEOUT_S)
            self.kill()
        finally:
            assert self._process.stdin is not None
            self._process.stdin.close()

    def _write(self, line: bytes) -> None:
        deadline = time.monotonic() + WRITE_TIMEOUT_S
        rest = memoryview(line)
        poll = select.poll()
        poll.register(self._stdin, select.POLLOUT)
        while rest:
            if not poll.poll(_SLICE_MS):
                if self._cut.is_set() or self._gone.is_set():
                    raise BrokenPipeError
                if time.monotonic() > deadline:
                    raise TimeoutError
                continue
            try:
                rest = rest[os.write(self._stdin, rest) :]
            except BlockingIOError:
                continue

    # messages

    def _read_loop(self) -> None:
        how = "an error of the daemon"
        try:
            how = self._read()
        except Exception:  # noqa: BLE001  # the boundary of the thread: a bug must not leave a process behind
            _log.exception("event=mover-reader-failed pid=%d", self.pid)
            self._end_unread()
        finally:
            self._orders.put(None)
            assert self._process.stdout is not None
            self._process.stdout.close()
            try:
                self._on_exit(how)
            except Exception:  # noqa: BLE001  # the boundary of the thread
                _log.exception("event=mover-exit-failed pid=%d", self.pid)
            self._gone.set()
            # It sees that within a slice of its waiting.
            self._writer.join(WRITE_TIMEOUT_S)
            with self._signalling:
                os.close(self._pidfd)
                self._pidfd = -1

    def _end_unread(self) -> None:
        """End a mover that nobody listens to any more."""
        self.cut_life_line()
        self.kill()
        try:
            self._process.wait(GONE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            _log.error("event=mover-undying pid=%d seconds=%g", self.pid, GONE_TIMEOUT_S)

    def _read(self) -> str:
        """Read until the process is gone; return how it ended."""
        poll = select.poll()
        poll.register(self._stdout, select.POLLIN)
        poll.register(self._pidfd, select.POLLIN)
        lines = Lines()
        heard = True
        closed_by: float | None = None
        gone_by: float | None = None
        while True:
            ready = {fd for fd, _ in poll.poll(None if closed_by is None else _SLICE_MS)}
            if self._stdout in ready and not self._read_some(lines if heard else None):
                poll.unregister(self._stdout)
                closed_by = time.monotonic() + CLOSED_TIMEOUT_S
            elif self._pidfd in ready:
                # Its last words are read; a process that it left behind may hold the pipe open, or even write on.
                gone_by = gone_by or time.monotonic() + LAST_WORDS_S
                if self._stdout not in ready or time.monotonic() > gone_by:
                    return _describe_exit(self._process.wait())
            if heard:
                heard = self._deliver(lines)
            if closed_by is not None and time.monotonic() > closed_by:
                _log.error("event=mover-lingers pid=%d", self.pid)
                self.kill()
                closed_by = None

    def _read_some(self, lines: Lines | None) -> bool:
        """Read what is there; say whether more can come."""
        try:
            piece = os.read(self._stdout, _READ_BYTES)
        except BlockingIOError:
            return True
        if lines is not None:
            lines.feed(piece)
        return bool(piece)

    def _deliver(self, lines: Lines) -> bool:
        """Hand over whole lines; say whether the mover is still worth listening to."""
        try:
            while (line := lines.take()) is not None:
                self._on_message(decode_message_line(line))
        except FdtError as exc:
            _log.error("event=mover-garbage pid=%d reason=%r", self.pid, exc.reason)
            self._on_garbage(exc)
            return False
        return True


def _describe_exit(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"
