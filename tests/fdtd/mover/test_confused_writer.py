"""A real reader and a listener that answers what it likes: the reader stays sane, and tells the truth about its end."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.model.order import (
    Action,
    Connect,
    Describe,
    Described,
    Ended,
    Endpoint,
    Policy,
    Release,
    ReleasedFile,
    Role,
    Setup,
    SourceFile,
)
from fdtd.mover import frames
from fdtd.mover.frames import HEADER_BYTES, TRAILER_BYTES, Header, Kind, encode_header
from fdtd.mover.greeting import Greeting, answer
from fdtd.mover.streams import read_exactly, read_header, read_payload
from tests.helpers.movers import SECRET, Mover

JOB = "00112233445566778899aabbccddeeff"
# More than two sockets hold.
BLOCK = 24 << 20
POLICY = Policy(streams=1, block_size=BLOCK, connect_timeout=0.5, stall_timeout=2.0)


class Stage:
    """A real reader that sends files to the listener that the test plays."""

    def __init__(self, home: Path, sizes: list[int]) -> None:
        self.sources = [home / str(number) for number in range(len(sizes))]
        for path, size in zip(self.sources, sizes, strict=True):
            path.touch()
            os.truncate(path, size)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(10)
        self.reader = Mover(Setup(Role.READER, JOB, (b"/",), POLICY))
        files = tuple(SourceFile(number, os.fsencode(path)) for number, path in enumerate(self.sources))
        self.reader.say(Describe(0, files))
        self.reader.wait_for(Described)
        self.stream = socket.socket()

    def release(self) -> None:
        files = tuple(ReleasedFile(number, Action.SEND) for number in range(len(self.sources)))
        self.reader.say(Release(files, last=True))

    def connect(self) -> None:
        self.reader.say(Connect((Endpoint("127.0.0.1", self.listener.getsockname()[1]),), ("127.0.0.1",), SECRET))
        self.accept()

    def accept(self) -> None:
        self.stream.close()
        self.stream, _ = self.listener.accept()
        answer(self.stream, Greeting(Role.WRITER, bytes.fromhex(JOB), POLICY.checksum, SECRET), time.monotonic() + 5)
        self.stream.settimeout(10)

    def hear(self) -> tuple[Header, bytes]:
        """Return the next frame, with its payload."""
        header = self.header()
        if header.kind is Kind.BLOCK:
            return header, self.take(header.length + TRAILER_BYTES)
        if header.kind is Kind.BATCH:
            return header, self.take(header.length)
        return header, read_payload(self.stream, header) if header.length else b""

    def header(self) -> Header:
        return read_header(self.stream, memoryview(bytearray(HEADER_BYTES)))

    def take(self, count: int) -> bytes:
        data = bytearray(count)
        read_exactly(self.stream, memoryview(data))
        return bytes(data)

    def say(self, kind: Kind, file: int = 0, offset: int = 0, length: int = 0, *, flags: int = 0) -> None:
        self.stream.sendall(encode_header(Header(kind, flags, 0, file, offset, length)))

    def ack(self, header: Header) -> None:
        is_part = header.kind is Kind.BLOCK
        flags = frames.OF_BATCH if header.kind is Kind.BATCH else 0
        self.say(Kind.ACK, header.file, *(header[4:6] if is_part else (0, 0)), flags=flags)

    def ack_all(self) -> list[Kind]:
        """Take and acknowledge everything until BYE."""
        kinds = []
        while True:
            header, _ = self.hear()
            kinds.append(header.kind)
            if header.kind is Kind.BYE:
                return kinds
            self.ack(header)

    def close(self) -> None:
        self.stream.close()
        self.listener.close()
        self.reader.__exit__(None, None, None)

    def wait_end(self) -> str:
        """Return the code of the problem with which the reader ended, or "" for none."""
        ended: Ended = self.reader.wait_end()
        return ended.problem.code if ended.problem is not None else ""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, [BLOCK + 1, 1000, 2000])
    yield made
    made.close()


def test_a_file_that_is_refused_while_its_source_fails_is_over_once(stage: Stage) -> None:
    """Both ends give up in the middle of a block: the reader hears of it when it is about to say the same."""
    os.truncate(stage.sources[0], BLOCK // 2)
    stage.release()
    stage.connect()
    batch, _ = stage.hear()
    stage.ack(batch)
    header = stage.header()  # more of it is under way than buffers hold, so the reader is in the middle of it
    stage.say(Kind.FILE_DONE, 0)
    stage.take(header.length + TRAILER_BYTES)
    stage.ack(header)
    stage.ack_all()
    assert stage.wait_end() == ""


def test_files_that_nobody_knows_may_be_refused_any_number_of_times(stage: Stage) -> None:
    stage.release()
    stage.connect()
    for file in (7, 0xFFFFFFFF, 1, 1):
        stage.say(Kind.FILE_DONE, file)
    assert stage.ack_all()[-1] is Kind.BYE
    assert stage.wait_end() == ""


def test_a_file_of_a_batch_that_is_refused_twice_comes_once_more(stage: Stage) -> None:
    stage.release()
    stage.connect()
    header, _ = stage.hear()
    assert header.kind is Kind.BATCH
    for _ in range(2):
        stage.say(Kind.NAK, 2, 0, 2000, flags=frames.OF_BATCH)
    stage.ack(header)
    kinds = stage.ack_all()
    assert kinds.count(Kind.BLOCK) == 3  # two of the large file, and the refused one
    assert stage.wait_end() == ""


@pytest.mark.parametrize(
    "wrong",
    [
        Header(Kind.ACK, 0, 0, 0, 0, BLOCK),
        Header(Kind.ACK, frames.OF_BATCH, 0, 5),
        Header(Kind.NAK, 0, 0, 1, 0, 1000),
        Header(Kind.NAK, frames.OF_BATCH, 0, 0),
        Header(Kind.BLOCK, 0, 0, 0, 0, 1),
        Header(Kind.CHALLENGE, 0, 0, 0, 0, frames.NONCE_BYTES),
    ],
    ids=lambda header: f"{header.kind.name}-{header.file}-{header.flags}",
)
def test_an_answer_that_is_out_of_order_ends_the_stream_and_everything_travels_again(
    stage: Stage, wrong: Header
) -> None:
    stage.release()
    stage.connect()
    header, _ = stage.hear()
    assert header.kind is Kind.BATCH
    stage.stream.sendall(encode_header(wrong))
    stage.accept()
    kinds = stage.ack_all()
    assert kinds.count(Kind.BLOCK) == 2 and kinds.count(Kind.BATCH) == 1
    assert stage.wait_end() == ""
