from __future__ import annotations

import threading

import pytest

from fdtmon.record import Record, Source
from fdtmon.sinks.base import QUEUE_RECORDS, Emitter

RECORD = Record(Source.DAEMON, "host", "", 1.0, (("sessions", 1.0),))


class Shelf:
    """A sink that keeps what it gets, once it is let go."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.go = threading.Event()
        self.is_closed = False

    def send(self, record: Record) -> None:
        assert self.go.wait(10)
        self.records.append(record)

    def close(self) -> None:
        self.is_closed = True


class Broken(Shelf):
    def send(self, record: Record) -> None:  # noqa: ARG002  # the interface
        raise OSError("nobody listens")


def test_records_reach_every_sink_and_sinks_are_closed() -> None:
    shelves = [Shelf(), Shelf()]
    emitter = Emitter(shelves)
    emitter.emit(RECORD)
    for shelf in shelves:
        shelf.go.set()
    emitter.close()
    assert [shelf.records for shelf in shelves] == [[RECORD], [RECORD]]
    assert all(shelf.is_closed for shelf in shelves)


def test_a_slow_sink_costs_records_not_time() -> None:
    shelf = Shelf()
    emitter = Emitter([shelf])
    for _ in range(QUEUE_RECORDS + 10):
        emitter.emit(RECORD)
    # The thread may hold one record in its hand.
    assert emitter.dropped in (9, 10)
    shelf.go.set()
    emitter.close()


def test_a_broken_sink_does_not_keep_others_from_their_records_and_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shelf = Shelf()
    shelf.go.set()
    emitter = Emitter([Broken(), shelf])
    emitter.emit(RECORD)
    emitter.emit(RECORD)
    emitter.close()
    assert shelf.records == [RECORD, RECORD]
    assert len(caplog.records) == 1


def test_without_sinks_nothing_is_queued_and_no_thread_runs() -> None:
    before = threading.active_count()
    emitter = Emitter([])
    emitter.emit(RECORD)
    emitter.close()
    assert threading.active_count() == before
