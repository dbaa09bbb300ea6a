"""What a reader has to send, shared by its streams."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.errors import ProtocolViolation, SourceChanged
from fdtcp.model.order import Action, Policy, ReleasedFile
from fdtd.mover.distance import spread_over
from fdtd.mover.log import Log
from fdtd.mover.outbox import Outbox
from fdtd.mover.sender import Answered, Dropped, Farewell, RefusedSmall
from fdtd.mover.work import AbortWork, BatchWork, BlockWork, EndWork
from fdtd.storage.base import Source
from fdtd.storage.choose import ChosenSources
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_source import PosixSource, PosixSources
from tests.helpers.described import describe


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    (tmp_path / "small").write_bytes(b"small")
    (tmp_path / "large").write_bytes(bytes(1 << 20))
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        sources = ChosenSources(prefixes, 10)
        made = Outbox(Policy(), sources, Log())
        describe(made, tmp_path / "small", tmp_path / "large")
        yield made
        sources.close()


def test_only_described_files_can_be_released(outbox: Outbox) -> None:
    with pytest.raises(ProtocolViolation):
        outbox.release([ReleasedFile(7, Action.SEND)], last=True)
    with pytest.raises(ProtocolViolation, match="twice"):
        describe(outbox, Path("/dev/zero"))


def test_what_is_not_just_to_be_sent_is_taken_on_by_itself(outbox: Outbox) -> None:
    outbox.release([ReleasedFile(0, Action.SEND), ReleasedFile(1, Action.COMPARE)], last=True)
    outbox.join(1)
    assert outbox.is_compared(1) and not outbox.is_compared(0)
    assert outbox.next(1) == BatchWork((0,))
    work = outbox.next(1)
    assert isinstance(work, BlockWork) and not work.payload


def test_batches_begin_small_and_become_smaller_where_answers_are_late(tmp_path: Path) -> None:
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        sources = ChosenSources(prefixes, 10)
        outbox = Outbox(Policy(stall_timeout=8.0), sources, Log())
        paths = [tmp_path / str(index) for index in range(100)]
        for path in paths:
            path.touch()
        describe(outbox, *paths)
        outbox.release([ReleasedFile(index, Action.SEND) for index in range(100)], last=True)
        outbox.join(1)
        sizes = []
        for silence_s in (0.001, 6.4, 0.0):
            work = outbox.next(1)
            assert isinstance(work, BatchWork)
            sizes.append(len(work.files))
            outbox.note_silence(len(work.files), silence_s)
        outbox.leave(1, [])
        sources.close()
    assert sizes == [32, 32, 5]


def test_batches_are_for_the_oldest_stream_and_all_are_woken(outbox: Outbox) -> None:
    first, second = outbox.join(1), outbox.join(2)
    outbox.release([ReleasedFile(0, Action.SEND)], last=True)
    assert os.eventfd_read(first) == os.eventfd_read(second) == 1
    assert outbox.next(2) is None
    work = outbox.next(1)
    assert work == BatchWork((0,))
    outbox.leave(1, [work])
    assert outbox.next(2) == BatchWork((0,))
    outbox.take(RefusedSmall(0))
    outbox.take(Answered(BatchWork((0,))))
    finished = [outbox.is_finished]
    outbox.take(Dropped(0))
    finished.append(outbox.is_finished)
    assert finished == [False, True] and outbox.finished_files == 1
    outbox.leave(2, [])


def test_far_away_every_stream_carries_batches(outbox: Outbox) -> None:
    outbox.join(1)
    outbox.join(2)
    outbox.spread(spread_over(0.1, 1))
    outbox.release([ReleasedFile(0, Action.SEND)], last=True)
    assert outbox.next(2) == BatchWork((0,))
    outbox.leave(1, [])
    outbox.leave(2, [])


def test_a_file_is_open_while_it_is_used_and_to_be_closed_when_it_is_finished(outbox: Outbox) -> None:
    outbox.release([ReleasedFile(1, Action.SEND)], last=True)
    source = outbox.open(1)
    assert outbox.open(1) is source
    outbox.done_with(1)
    outbox.take(Dropped(1))
    assert list(outbox.unused()) == []
    source.facts()
    outbox.done_with(1)
    assert list(outbox.unused()) == [(1, source)]
    assert list(outbox.unused()) == [], "it is one thread's to close"
    source.close()


def test_the_end_tells_what_the_file_is_now(outbox: Outbox, tmp_path: Path) -> None:
    outbox.release([ReleasedFile(1, Action.SEND)], last=True)
    assert outbox.end_of(EndWork(1, 9)).checksum == 9
    os.truncate(tmp_path / "large", 5)
    with pytest.raises(SourceChanged, match="was 1048576 bytes and is 5"):
        outbox.end_of(EndWork(1, 9))
    outbox.failed(1, SourceChanged("x"))
    outbox.join(1)
    assert isinstance(outbox.next(1), AbortWork)
    outbox.take(Dropped(1))
    outbox.leave(1, [])


def test_a_writer_that_says_farewell_wants_nothing_more(outbox: Outbox) -> None:
    outbox.release([ReleasedFile(0, Action.SEND), ReleasedFile(1, Action.SEND)], last=True)
    outbox.join(1)
    outbox.take(Farewell())
    assert outbox.is_finished and outbox.next(1) is None and not outbox.wants_streams(0)
    outbox.leave(1, [])


def test_an_open_that_takes_long_holds_no_other_stream_up(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox.release([ReleasedFile(1, Action.SEND)], last=True)
    is_in, go = threading.Event(), threading.Event()
    real = PosixSources.open

    def slow(self: PosixSources, path: bytes) -> PosixSource:
        is_in.set()
        assert go.wait(10)
        return real(self, path)

    monkeypatch.setattr(PosixSources, "open", slow)
    opened: list[Source] = []
    threads = [threading.Thread(target=lambda: opened.append(outbox.open(1))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert is_in.wait(10)
    assert outbox.lock.acquire(timeout=5), "the lock is free meanwhile"
    outbox.lock.release()
    go.set()
    for thread in threads:
        thread.join(10)
    assert opened[0] is opened[1] and opened[0].facts().size == 1 << 20
    outbox.done_with(1)
    outbox.done_with(1)
    outbox.take(Dropped(1))
    assert list(outbox.unused()) == [(1, opened[0])], "to be closed after its last user"
    opened[0].close()
