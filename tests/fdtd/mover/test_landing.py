"""Threads on one landing: contests for a block, late threads, and failures while others are at work."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.errors import DestinationFailed, Phase, Side, SourceChanged, StreamsLost
from fdtcp.model.order import Action, Checksum, DestinationFile, Policy, State
from fdtd.mover.commit import Item, Sheaf
from fdtd.mover.comparing import Comparing
from fdtd.mover.frames import End, Entry, Header, Kind
from fdtd.mover.landing import Landing
from fdtd.mover.log import Log
from fdtd.mover.preflight import Preflight
from fdtd.mover.receiver import Reply
from fdtd.mover.sheaves import Sheaves
from fdtd.mover.smalls import Smalls
from fdtd.mover.streams import StreamBroken
from fdtd.mover.sums import sum_of
from fdtd.storage.choose import ChosenDestinations
from fdtd.storage.paths import Prefixes

SIZE = 2 << 20
CONTENT = os.urandom(SIZE)
LOST = StreamsLost("x").problem(Side.DESTINATION, Phase.TRANSFER)


class FakeStream:
    """A stream whose thread goes when it is told to."""

    def __init__(self, number: int, landing: Landing, *, hangs: bool = False) -> None:
        self.number = number
        self.ended = threading.Event()
        self._landing = landing
        self._hangs = hangs
        landing.stream_opened(self)

    def end(self) -> None:
        if not self._hangs and not self.ended.is_set():
            self.ended.set()
            threading.Thread(target=self._landing.stream_gone, args=(self,)).start()


@pytest.fixture
def landing(tmp_path: Path) -> Iterator[Landing]:
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        destinations = ChosenDestinations(prefixes)
        made = Landing(Policy(stall_timeout=0.5), destinations, Log())
        yield made
        destinations.close()


def expect(landing: Landing, path: Path, size: int = SIZE, index: int = 0) -> None:
    file = DestinationFile(index, os.fsencode(path), size, 5, 0o644, b"s")
    landing.expect(file, Preflight(landing.policy, landing.destinations).decide(file))


def block(offset: int = 0, length: int = SIZE) -> Header:
    return Header(Kind.BLOCK, 0, 0, 0, offset, length)


def test_a_contested_block_is_written_only_after_the_old_stream_is_gone(landing: Landing, tmp_path: Path) -> None:
    expect(landing, tmp_path / "file")
    old, new = FakeStream(1, landing), FakeStream(2, landing)
    assert landing.begin(old, block()) is not None
    assert landing.begin(new, block()) is not None
    assert old.ended.is_set()
    assert landing.written(new, block(), zlib.adler32(CONTENT)) is Reply.ACK
    landing.fail(0, LOST)


def test_a_stream_that_does_not_go_keeps_its_block_and_the_file_fails(landing: Landing, tmp_path: Path) -> None:
    expect(landing, tmp_path / "file")
    old, new = FakeStream(1, landing, hangs=True), FakeStream(2, landing)
    partial = landing.begin(old, block())
    assert partial is not None
    assert landing.begin(new, block()) is None and landing.discarded(block()) is Reply.DROP
    assert [one.problem.code for one in landing.outcomes if one.problem] == ["destination-hangs"]
    landing.stream_gone(new)
    assert not landing.has_streams, "nobody waits for the one that hangs"
    # It comes back after all; what is on a device that hangs is touched no more.
    partial.write(memoryview(CONTENT), 0)
    assert landing.written(old, block(), 1) is Reply.DROP
    landing.stream_gone(old)
    assert os.listdir(tmp_path) == [os.path.basename(os.fsdecode(partial.path))]
    assert not landing.take_outcomes(), "something is left of it: that is told by the daemon, who sweeps it"


def test_a_failed_file_is_closed_only_when_nobody_writes_to_it(landing: Landing, tmp_path: Path) -> None:
    expect(landing, tmp_path / "file")
    stream = FakeStream(1, landing)
    partial = landing.begin(stream, block())
    assert partial is not None
    landing.fail(0, LOST)
    partial.write(memoryview(CONTENT), 0)  # its thread does not know yet
    assert landing.written(stream, block(), 1) is Reply.DROP
    assert not os.listdir(tmp_path)
    assert landing.begin(stream, block()) is None
    assert landing.discarded(block()) is Reply.DROP
    assert [outcome.state for outcome in landing.outcomes] == [State.FAILED]


def test_a_failed_volume_fails_what_is_being_written_to_it(landing: Landing, tmp_path: Path) -> None:
    expect(landing, tmp_path / "file")
    stream = FakeStream(1, landing)
    partial = landing.begin(stream, block(0, 10))
    assert partial is not None
    landing.written(stream, block(0, 10), 1)
    landing.fail_volume(partial.volume, DestinationFailed("EIO"))
    assert [one.problem.code for one in landing.outcomes if one.problem] == ["destination-failed"]
    assert not os.listdir(tmp_path)


def test_a_stream_number_is_used_once(landing: Landing) -> None:
    FakeStream(1, landing)
    with pytest.raises(StreamBroken):
        FakeStream(1, landing)


def test_each_file_has_one_outcome_whatever_happens_to_it(landing: Landing, tmp_path: Path) -> None:
    expect(landing, tmp_path / "file")
    landing.fail(0, LOST)
    landing.fail(0, LOST)
    landing.fail_open(LOST)
    assert len(landing.outcomes) == 1
    assert (landing.open_files, landing.waiting, landing.finished_files) == (0, 0, 1)


def test_a_small_file_belongs_to_the_thread_that_writes_it(landing: Landing, tmp_path: Path) -> None:
    content = b"x" * 100
    expect(landing, tmp_path / "file", size=100)
    smalls = Smalls(landing)
    entry = Entry(0, 100, zlib.adler32(content), 5)
    sheaves: list[Sheaf] = []
    landing.on_sheaf = sheaves.append
    landing.users[0] = 1  # a thread of a stream that seemed dead is in the middle of it
    with pytest.raises(StreamBroken):
        smalls.take([entry], memoryview(content))
    assert not os.listdir(tmp_path)
    del landing.users[0]
    smalls.take([entry], memoryview(content))
    smalls.take([entry], memoryview(content))
    assert len(sheaves) == 1
    Sheaves(landing).abandon(sheaves, LOST)
    assert not os.listdir(tmp_path)
    assert [one.problem for one in landing.outcomes] == [LOST]


def test_what_exists_is_open_while_it_is_read(landing: Landing, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    expect(landing, tmp_path / "file")
    assert landing.receiver.arrivals[0].action is Action.COMPARE
    comparing = Comparing(landing)
    existing = comparing.begin(block())
    assert existing is not None
    landing.fail(0, LOST)
    assert existing.read_into(memoryview(bytearray(10)), 0) == 10  # its thread does not know yet
    comparing.end(0)
    with pytest.raises(Exception, match="Bad file"):
        existing.facts()
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_an_end_that_comes_twice_is_committed_once(landing: Landing, tmp_path: Path) -> None:
    items: list[Item] = []
    landing.on_verified = lambda item, _size: items.append(item)
    expect(landing, tmp_path / "file")
    stream = FakeStream(1, landing)
    partial = landing.begin(stream, block())
    assert partial is not None
    partial.write(memoryview(CONTENT), 0)
    landing.written(stream, block(), zlib.adler32(CONTENT))
    end = End(SIZE, 5, 5, zlib.adler32(CONTENT))
    for _ in range(2):
        assert landing.ended(0, lambda: landing.receiver.ended(0, end)) is Reply.ACK
    assert len(items) == 1
    landing.abandon(items, LOST)
    assert not os.listdir(tmp_path)


def send(landing: Landing, stream: FakeStream) -> None:
    """Send all of file 0, and its end."""
    partial = landing.begin(stream, block())
    assert partial is not None
    partial.write(memoryview(CONTENT), 0)
    landing.written(stream, block(), zlib.adler32(CONTENT))
    end = End(SIZE, 5, 5, zlib.adler32(CONTENT))
    landing.ended(0, lambda: landing.receiver.ended(0, end))


def test_an_abort_does_not_end_a_file_that_the_committer_has(landing: Landing, tmp_path: Path) -> None:
    items: list[Item] = []
    landing.on_verified = lambda item, _size: items.append(item)
    expect(landing, tmp_path / "file")
    send(landing, FakeStream(1, landing))
    landing.fail(0, SourceChanged("too late").problem(Side.SOURCE, Phase.TRANSFER))
    assert not landing.outcomes
    items[0].partial.publish(replace=False)  # it is still open
    landing.committed([(items[0], None)])
    assert [outcome.state for outcome in landing.outcomes] == [State.DONE]


def test_what_exists_stays_open_after_its_commit_while_another_stream_reads_it(
    landing: Landing, tmp_path: Path
) -> None:
    items: list[Item] = []
    landing.on_verified = lambda item, _size: items.append(item)
    (tmp_path / "file").write_bytes(CONTENT)
    expect(landing, tmp_path / "file")
    comparing = Comparing(landing)
    first, second = comparing.begin(block()), comparing.begin(block())
    assert first is not None and first is second
    value = landing.comparing.update(memoryview(CONTENT), landing.comparing.start)
    comparing.is_same(block(), value)
    comparing.end(0)
    landing.ended(0, lambda: landing.receiver.ended(0, End(SIZE, 5, 5, value)))
    assert len(items) == 1
    landing.committed([(items[0], None)])
    assert second.read_into(memoryview(bytearray(10)), 0) == 10
    comparing.is_different(block())  # whatever it finds comes too late
    comparing.end(0)
    assert [outcome.state for outcome in landing.outcomes] == [State.SKIPPED]
    with pytest.raises(Exception, match="Bad file"):
        second.facts()


def test_an_outcome_is_told_when_nothing_of_its_file_is_in_anybodys_hands(landing: Landing, tmp_path: Path) -> None:
    expect(landing, tmp_path / "file")
    stream = FakeStream(1, landing)
    assert landing.begin(stream, block()) is not None
    landing.fail(0, LOST)
    assert not landing.take_outcomes(), "its stream still writes, and its partial is there"
    landing.not_written(stream, block(), void=True)
    assert [outcome.index for outcome in landing.take_outcomes()] == [0]
    assert not landing.take_outcomes()


@pytest.mark.parametrize(("checksum", "noted"), [(Checksum.ADLER32, 1), (Checksum.NONE, 0)])
def test_what_nobody_could_go_on_from_is_not_noted(
    landing: Landing, tmp_path: Path, checksum: Checksum, noted: int
) -> None:
    landing.checksum = sum_of(checksum)
    expect(landing, tmp_path / "file")
    stream = FakeStream(1, landing)
    assert landing.begin(stream, block(0, 10)) is not None
    landing.written(stream, block(0, 10), 1)
    assert len(landing.holdings[0].fresh) == noted
    landing.fail(0, LOST)
