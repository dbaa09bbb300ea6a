"""From those who measure to those who listen, without ever making the former wait.

Decides that monitoring is lossy on purpose: the queue is bounded, what does not fit is dropped and counted, a sink
that fails is logged once and tried again with the next record.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence
from typing import Final, Protocol

from fdtmon.record import Record

log = logging.getLogger("fdtmon")

# Some seconds of records of a busy host (100 transfers, twice a second); more only delays what is shown.
QUEUE_RECORDS: Final = 2000
# How long a stopping program waits for the records on their way; they are worth no more than that.
STOP_WITHIN_S: Final = 1.0


class Sink(Protocol):
    """One kind of receiver, at one address."""

    def send(self, record: Record) -> None:
        """Write `record` to the receiver.  May raise OSError; must not block for long (datagrams do not)."""

    def close(self) -> None:
        """Give the socket back."""


class Emitter:
    """A queue and a thread between `emit` and the sinks; without sinks it has neither."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = tuple(sinks)
        self._queue: queue.Queue[Record | None] = queue.Queue(QUEUE_RECORDS)
        self._failing: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="fdtmon", daemon=True) if self._sinks else None
        self.dropped = 0
        if self._thread:
            self._thread.start()

    def emit(self, record: Record) -> None:
        """Take `record` along if there is room; never waits."""
        if self._thread is None:
            return
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Send what is queued, within STOP_WITHIN_S, and close the sinks."""
        if self._thread is None:
            return
        try:
            self._queue.put(None, timeout=STOP_WITHIN_S)
        except queue.Full:
            log.warning("event=monitoring-not-flushed dropped=%d", self._queue.qsize())
        self._thread.join(STOP_WITHIN_S)
        for sink in self._sinks:
            sink.close()

    def _run(self) -> None:
        while (record := self._queue.get()) is not None:
            for number, sink in enumerate(self._sinks):
                self._deliver(number, sink, record)

    def _deliver(self, number: int, sink: Sink, record: Record) -> None:
        try:
            sink.send(record)
            self._failing.discard(number)
        except OSError as exc:
            # A receiver that is down refuses every datagram; one line says it until it is up again.
            if number not in self._failing:
                self._failing.add(number)
                log.warning("event=monitoring-sink-failed sink=%s error=%s", type(sink).__name__, exc)
