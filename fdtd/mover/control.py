"""The pipes to the daemon: orders in, messages out, and the life line.

Decides how orders are read and that the end of standard input is the end of the mover: fdtd holds the only write end,
so end of file means that fdtd is gone or wants us gone.  Then nothing may keep us longer than LIFE_AFTER_EOF_S: the
thread that reads the orders does nothing else and sets an alarm, at which the kernel ends the process, whatever its
threads, its locks and its interpreter are doing.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Callable
from typing import Final

from fdtcp.errors import FdtError, ProtocolViolation
from fdtcp.model.order import Message, Order, SetRate, Stop
from fdtcp.model.pipe import Lines, decode_order_line, encode_line

# The daemon counts on two seconds; a little is left for the kernel to tear down what we hold.
LIFE_AFTER_EOF_S: Final = 1.8

# The daemon waits a minute for the answer to an order (fdtd.live); what pre-flight has found until then must be said
# before.
ANSWER_WITHIN_S: Final = 50.0

# What a pipe holds; memory for more would come from the kernel, page by page, for each read.
_READ_BYTES: Final = 64 << 10


class Control:
    """Both pipes.  Messages may be sent from any thread."""

    def __init__(self, stdin: int, stdout: int) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._orders: queue.SimpleQueue[Order | FdtError | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._lines = Lines()
        # A plain flag, which a signal handler may set wherever it interrupts us: an Event would lock.
        self.is_stopping = False
        self.discard = False
        # A limit that is lowered holds at once, whatever orders wait before this one.
        self.on_rate: Callable[[int], None] = lambda _rate: None
        self.is_cut = False  # nobody reads our messages any more

    def first_order(self) -> Order:
        """Read the first line before any thread exists.  Raises ProtocolViolation, also at end of file."""
        while (line := self._lines.take()) is None:
            if not self._fill():
                raise ProtocolViolation("the daemon closed the pipe before the first order")
        return decode_order_line(line)

    def start(self) -> None:
        """Begin to read orders, and to take SIGTERM for Stop."""
        signal.signal(signal.SIGTERM, self._on_terminate)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        threading.Thread(target=self._read, name="life line", daemon=True).start()

    def next_order(self, timeout: float) -> Order | None:
        """Return the next order, None after `timeout` seconds or `wake` without one.

        Raises ProtocolViolation, and what `fail` was told.
        """
        try:
            order = self._orders.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(order, FdtError):
            raise order
        return order

    def wake(self) -> None:
        """Make `next_order` return."""
        self._orders.put(None)

    def fail(self, error: FdtError) -> None:
        """Make `next_order` raise: the mover cannot go on."""
        self._orders.put(error)

    def say(self, message: Message) -> None:
        """Send a message to the daemon; without one nobody is left to tell."""
        data = memoryview(encode_line(message))
        with self._lock:
            try:
                while data and not self.is_cut:
                    data = data[os.write(self._stdout, data) :]
            except OSError:
                self.is_cut = True

    def _on_terminate(self, _number: int, _frame: object) -> None:
        self.is_stopping = True

    def _fill(self) -> bool:
        data = os.read(self._stdin, _READ_BYTES)
        self._lines.feed(data)
        return bool(data)

    def _read(self) -> None:
        try:
            while True:
                while (line := self._lines.take()) is not None:
                    self._take(decode_order_line(line))
                if not self._fill():
                    break
        except (ProtocolViolation, OSError) as exc:
            self._orders.put(ProtocolViolation(f"reading orders: {exc}"))
        finally:
            # Also after a bug of ours in here: without this thread nothing else would end the mover.
            signal.setitimer(signal.ITIMER_REAL, LIFE_AFTER_EOF_S)
            self.is_stopping = True
            self.wake()

    def _take(self, order: Order) -> None:
        if isinstance(order, Stop):
            # At once: whoever waits for work looks at `is_stopping`, whatever orders wait before this one.
            self.discard = order.discard
            self.is_stopping = True
            self.wake()
        elif isinstance(order, SetRate):
            self.on_rate(order.rate)
        else:
            self._orders.put(order)
