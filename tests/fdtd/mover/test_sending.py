"""One sending stream against a listener that a test plays by hand."""

from __future__ import annotations

import os
import socket
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.model.order import Action, Checksum, Policy, ReleasedFile
from fdtd.mover import frames
from fdtd.mover.frames import HEADER_BYTES, TRAILER_BYTES, Header, Kind
from fdtd.mover.log import Log
from fdtd.mover.outbox import Outbox
from fdtd.mover.rate import RateLimit
from fdtd.mover.sending import SendingStream
from fdtd.mover.streams import Ending, read_exactly, read_header, read_payload
from fdtd.mover.work import BatchWork
from fdtd.storage.choose import ChosenSources
from fdtd.storage.paths import Prefixes
from tests.helpers.described import describe

CONTENT = os.urandom(2 << 20)


class Listener:
    """The writer's end, by hand."""

    def __init__(self, outbox: Outbox, rate: int = 0) -> None:
        self.results: list[Ending] = []
        self.thread = threading.Thread(target=lambda: self.results.append(self.stream.run()))
        listener = socket.create_server(("127.0.0.1", 0))
        far = socket.create_connection(listener.getsockname())
        self.near, _ = listener.accept()
        self.near.settimeout(5)
        listener.close()
        self.stream = SendingStream(far, 1, outbox, RateLimit(rate), 2.0, Log())
        self.thread.start()

    def header(self) -> Header:
        return read_header(self.near, memoryview(bytearray(HEADER_BYTES)))

    def take(self, count: int) -> bytes:
        data = bytearray(count)
        read_exactly(self.near, memoryview(data))
        return bytes(data)

    def block(self) -> tuple[Header, bytes, tuple[int, bool]]:
        header = self.header()
        assert header.kind is Kind.BLOCK
        return header, self.take(header.length), frames.decode_trailer(self.take(TRAILER_BYTES))

    def say(self, header: Header) -> None:
        self.near.sendall(frames.encode_header(header))

    def ack(self, header: Header) -> None:
        is_part = header.kind in (Kind.BLOCK, Kind.SUM)
        self.say(Header(Kind.ACK, 0, 0, header.file, header.offset if is_part else 0, header.length if is_part else 0))

    def wait_end(self) -> Ending:
        self.thread.join(5)
        self.near.close()
        return self.results[0]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(CONTENT)
    return tmp_path / "file"


@pytest.fixture
def rate() -> int:
    return 0


@pytest.fixture
def listener(tmp_path: Path, source: Path, rate: int) -> Iterator[Listener]:
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        sources = ChosenSources(prefixes, 10)
        outbox = Outbox(Policy(), sources, Log())
        describe(outbox, source)
        played = Listener(outbox, rate)
        yield played
        played.near.close()
        played.thread.join(5)
        sources.close()


def release(listener: Listener) -> None:
    listener.stream._outbox.release([ReleasedFile(0, Action.SEND)], last=True)


def test_a_file_is_its_blocks_its_end_and_farewell(listener: Listener) -> None:
    release(listener)
    header, content, (value, void) = listener.block()
    assert (content, value, void) == (CONTENT, zlib.adler32(CONTENT), False)
    end_header = listener.header()
    end = frames.decode_end(read_payload(listener.near, end_header))
    assert (end.size, end.checksum) == (len(CONTENT), zlib.adler32(CONTENT))
    listener.ack(header)
    listener.ack(end_header)
    assert listener.header().kind is Kind.BYE
    assert listener.wait_end() is Ending.DONE


def test_a_refused_block_comes_again_and_its_end_too(listener: Listener) -> None:
    release(listener)
    header, _, _ = listener.block()
    end_header = listener.header()
    read_payload(listener.near, end_header)
    listener.say(Header(Kind.NAK, 0, 0, 0, header.offset, header.length))
    listener.ack(end_header)
    again, content, _ = listener.block()
    assert again == header and content == CONTENT
    second_end = listener.header()
    read_payload(listener.near, second_end)
    listener.ack(again)
    listener.ack(second_end)
    assert listener.header().kind is Kind.BYE
    assert listener.wait_end() is Ending.DONE


def test_a_source_that_shrank_is_a_void_block_and_an_abort(listener: Listener, source: Path) -> None:
    os.truncate(source, 1000)
    release(listener)
    header, content, (_, void) = listener.block()
    assert void and content[:1000] == CONTENT[:1000] and not any(content[1000:])
    abort = listener.header()
    assert frames.decode_abort(read_payload(listener.near, abort)).code == "source-changed"
    listener.ack(header)
    listener.ack(abort)
    assert listener.header().kind is Kind.BYE
    assert listener.wait_end() is Ending.DONE


def test_a_listener_that_breaks_the_rules_loses_the_stream(listener: Listener) -> None:
    release(listener)
    listener.block()
    listener.say(Header(Kind.ACK, 0, 0, 5, 0, 0))
    assert listener.wait_end() is Ending.BARREN


def test_a_silent_listener_counts_as_dead(listener: Listener) -> None:
    release(listener)
    listener.block()
    assert listener.wait_end() is Ending.BARREN


def test_a_batch_that_was_never_answered_makes_the_next_ones_smaller(tmp_path: Path) -> None:
    """They used to be sent again as they were, to be taken for dead again."""
    paths = [tmp_path / str(index) for index in range(32)]
    for path in paths:
        path.touch()
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        sources = ChosenSources(prefixes, 10)
        outbox = Outbox(Policy(stall_timeout=2.0), sources, Log())
        describe(outbox, *paths)
        outbox.release([ReleasedFile(index, Action.SEND) for index in range(32)], last=True)
        silent = Listener(outbox)
        assert silent.wait_end() is not Ending.DONE
        outbox.join(2)
        work = outbox.next(2)
        assert isinstance(work, BatchWork) and len(work.files) == 32 // 8
        outbox.leave(2, [])
        sources.close()


@pytest.mark.parametrize("rate", [len(CONTENT) * 2 // 5])
def test_a_block_that_takes_longer_than_a_stall_is_none(listener: Listener) -> None:
    release(listener)
    header, content, _ = listener.block()
    end_header = listener.header()
    read_payload(listener.near, end_header)
    listener.ack(header)
    listener.ack(end_header)
    assert content == CONTENT and listener.header().kind is Kind.BYE
    assert listener.wait_end() is Ending.DONE


def test_a_writer_that_opens_the_streams_is_told_how_many_there_should_be(listener: Listener) -> None:
    listener.stream._outbox.ask_for_streams(12)
    assert listener.header() == Header(Kind.STREAMS, file=12)
    release(listener)
    assert listener.block()[1] == CONTENT, "it is not told again"


def test_a_listener_that_wants_nothing_ends_the_job(listener: Listener) -> None:
    listener.say(Header(Kind.BYE))
    assert listener.header().kind is Kind.BYE
    assert listener.wait_end() is Ending.DONE


def test_without_a_sum_a_block_that_is_sent_again_is_void_if_its_file_has_changed(tmp_path: Path, source: Path) -> None:
    """The FILE_END that the first stream brought would call the new content the old one's."""
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        sources = ChosenSources(prefixes, 10)
        outbox = Outbox(Policy(checksum=Checksum.NONE), sources, Log())
        describe(outbox, source)
        first = Listener(outbox)
        release(first)
        assert first.block()[1:] == (CONTENT, (0, False))
        assert read_payload(first.near, first.header())
        first.near.close()
        assert first.wait_end() is Ending.BARREN
        with open(source, "r+b") as file:
            file.write(b"other")
        second = Listener(outbox)
        assert second.block()[2] == (0, True)
        abort = second.header()
        assert abort.kind is Kind.FILE_ABORT
        assert frames.decode_abort(read_payload(second.near, abort)).code == "source-changed"
        second.near.close()
        second.wait_end()
        sources.close()
