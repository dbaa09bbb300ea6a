"""A real writer and a peer that knows the secret, but sends what it likes: out of order, twice, or what nobody may.

The peer is the user's own reader gone wrong, so what is at stake is that nothing wrong is ever called done: a file is
right, or its job says that it failed, and nothing stays behind.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.errors import Phase, Side, SourceFailed
from fdtcp.model.order import (
    Action,
    DestinationFile,
    Ended,
    Expect,
    Expected,
    Extent,
    Finals,
    Listen,
    Listening,
    Outcome,
    Policy,
    Role,
    Setup,
    State,
    Stop,
    Verdict,
)
from fdtd.mover import frames
from fdtd.mover.frames import End, Entry, Header, Kind, decode_header, encode_header
from fdtd.mover.greeting import greet
from fdtd.mover.journal import Identity, encode_records, encode_start
from fdtd.storage.names import journal_name, partial_name
from tests.helpers.movers import SECRET, Mover

SIZE = 1 << 20
MTIME = 10**18
BLOCK = 64 << 10
CONTENT = random.Random(7).randbytes(SIZE)  # noqa: S311  # only has to look random
JOB = "00112233445566778899aabbccddeeff"
POLICY = Policy(connect_timeout=1.0, stall_timeout=3.0)


class Peer:
    """One authenticated stream, by hand."""

    def __init__(self, port: int, number: int) -> None:
        self.stream = socket.create_connection(("127.0.0.1", port))
        greet(self.stream, number, bytes.fromhex(JOB), POLICY.checksum, SECRET, 5.0)
        self.stream.settimeout(5)

    def send(self, data: bytes) -> None:
        self.stream.sendall(data)

    def block(self, offset: int, length: int = BLOCK, *, content: bytes = CONTENT, file: int = 0) -> None:
        """Send a block with the checksum that the right content has."""
        right = zlib.adler32(CONTENT[offset : offset + length])
        payload = content[offset : offset + length]
        self.send(frames.encode_block(file, offset, length) + payload + frames.encode_trailer(right))

    def sum(self, offset: int, length: int, value: int | None = None) -> None:
        right = zlib.adler32(CONTENT[offset : offset + length]) if value is None else value
        self.send(frames.encode_sum(0, offset, length, right, 0))

    def end(self, checksum: int | None = None, *, file: int = 0, size: int = SIZE, mtime: int = MTIME) -> None:
        value = zlib.adler32(CONTENT) if checksum is None else checksum
        self.send(frames.encode_end(file, End(size, mtime, 1, value)))

    def bye(self) -> None:
        self.send(encode_header(Header(Kind.BYE)))

    def hear(self) -> Header | None:
        """Return the next answer; None when the writer has ended the stream."""
        data = b""
        try:
            while len(data) < frames.HEADER_BYTES:
                more = self.stream.recv(frames.HEADER_BYTES - len(data))
                if not more:
                    return None
                data += more
        except ConnectionResetError:
            return None
        return decode_header(data)

    def answers(self, count: int) -> list[Kind]:
        return [header.kind for _ in range(count) if (header := self.hear()) is not None]

    def wait_ended(self) -> None:
        """Wait until the writer has ended the stream."""
        while self.hear() is not None:
            pass


class Stage:
    """A real writer that expects one file, and its peers."""

    def __init__(self, directory: Path, *, size: int = SIZE) -> None:
        self.target = directory / "to" / "file"
        self.size = size
        self.writer = Mover(Setup(Role.WRITER, JOB, (b"/",), POLICY))
        self.peers: list[Peer] = []
        self.port = 0

    def expect(self) -> Verdict:
        file = DestinationFile(0, os.fsencode(self.target), self.size, MTIME, 0o644, b"fdt://s/file")
        self.writer.say(Expect(0, (file,), last=True))
        return self.writer.wait_for(Expected).verdicts[0]

    def listen(self) -> None:
        self.writer.say(Listen(("127.0.0.1",), (0,), SECRET))
        self.port = self.writer.wait_for(Listening).endpoints[0].port

    def peer(self) -> Peer:
        peer = Peer(self.port, len(self.peers) + 1)
        self.peers.append(peer)
        return peer

    def close(self) -> None:
        for peer in self.peers:
            peer.stream.close()
        self.writer.__exit__(None, None, None)

    def outcome(self) -> Outcome:
        self.writer.wait_for(Finals)
        for peer in self.peers:
            peer.stream.close()  # the writer waits a second for those who do not
        self.writer.wait_end()
        return self.writer.outcomes[0]

    def check_done(self) -> None:
        outcome = self.outcome()
        assert outcome.state is State.DONE, (outcome, self.writer.read_log())
        assert self.target.read_bytes() == CONTENT
        assert os.listdir(self.target.parent) == ["file"]

    def check_failed(self, *codes: str) -> None:
        outcome = self.outcome()
        assert outcome.problem is not None and outcome.problem.code in codes, outcome
        assert not self.target.exists()
        assert not self.target.parent.exists() or os.listdir(self.target.parent) == []


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    made.expect()
    made.listen()
    yield made
    made.close()


@pytest.mark.parametrize("seed", range(3))
def test_blocks_in_any_order_twice_and_on_any_stream_make_the_file(stage: Stage, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  # only has to look random
    peers = [stage.peer() for _ in range(3)]
    sent = [(offset, peer) for offset in range(0, SIZE, BLOCK) for peer in rng.sample(peers, 2)]
    rng.shuffle(sent)
    peers[0].end()
    assert peers[0].answers(1) == [Kind.ACK]
    for offset, peer in sent:
        peer.block(offset)
        assert peer.answers(1) == [Kind.ACK]
    for peer in peers:
        peer.bye()
    stage.check_done()


def test_blocks_that_come_again_after_all_is_done_change_nothing(stage: Stage) -> None:
    peer = stage.peer()
    for offset in range(0, SIZE, BLOCK):
        peer.block(offset)
    peer.end()
    peer.block(BLOCK, content=bytes(SIZE))
    peer.end()
    stage.check_done()


def test_a_duplicate_with_another_content_is_not_written(stage: Stage) -> None:
    peer = stage.peer()
    peer.block(0)
    peer.block(0, content=bytes(SIZE))
    assert peer.answers(2) == [Kind.ACK, Kind.ACK]
    for offset in range(BLOCK, SIZE, BLOCK):
        peer.block(offset)
    peer.end()
    stage.check_done()


def test_a_damaged_block_is_refused_and_then_taken_once_it_is_right(stage: Stage) -> None:
    peer = stage.peer()
    for offset in range(0, SIZE, BLOCK):
        peer.block(offset, content=bytes(SIZE))
    assert peer.answers(SIZE // BLOCK) == [Kind.NAK] * (SIZE // BLOCK)
    for offset in range(0, SIZE, BLOCK):
        peer.block(offset)
    peer.end()
    stage.check_done()


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, BLOCK + 1), (BLOCK // 2, BLOCK), (1, BLOCK - 2), (0, BLOCK - 1), (BLOCK - 1, 2)],
    ids=["longer", "across", "inside", "shorter", "touching"],
)
def test_a_block_that_overlaps_another_ends_the_stream(stage: Stage, offset: int, length: int) -> None:
    peer = stage.peer()
    peer.block(0)
    assert peer.answers(1) == [Kind.ACK]
    peer.block(offset, length)
    peer.wait_ended()
    again = stage.peer()
    for start in range(0, SIZE, BLOCK):
        again.block(start)
    again.end()
    stage.check_done()


# Each is sent alone, on a stream of its own; none may cost the file, which then comes as it should.
VIOLATIONS = {
    "beyond the end": frames.encode_block(0, SIZE - 10, 11),
    "far beyond": encode_header(Header(Kind.BLOCK, 0, 0, 0, (1 << 64) - 1, 1)),
    "no length": encode_header(Header(Kind.BLOCK, 0, 0, 0, 0, 0)),
    "a GiB and one": encode_header(Header(Kind.BLOCK, 0, 0, 0, 0, (1 << 30) + 1)),
    "a stranger's file": frames.encode_block(1, 0, 10),
    "the last file of all": frames.encode_block((1 << 32) - 1, 0, 10),
    "a sum of nothing kept": frames.encode_sum(0, 0, 100, 1, 0),
    "a sum beyond the end": frames.encode_sum(0, SIZE, 100, 1, 0),
    "an end of a stranger's file": frames.encode_end(3, End(1, 1, 1, 1)),
    "a sender's ACK": encode_header(Header(Kind.ACK, 0, 0, 0, 0, 0)),
    "a second HELLO": encode_header(Header(Kind.HELLO, 0, 0, 0, 0, frames.HELLO_BYTES)) + bytes(frames.HELLO_BYTES),
    "an unknown kind": struct.pack(">B27x", 77) + zlib.crc32(struct.pack(">B27x", 77)).to_bytes(4, "big"),
    "no header at all": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a batch of a large file": b"".join(map(bytes, frames.encode_batch(0, [Entry(0, 5, 0, MTIME)], b"12345"))),
    "a batch that is all table": encode_header(Header(Kind.BATCH, 0, 4096, 0, 0, 24)) + bytes(24),
    "a batch too large": encode_header(Header(Kind.BATCH, 0, 1, 0, 0, frames.MAX_BATCH_BYTES + 1)),
    "an abort that is no JSON": encode_header(Header(Kind.FILE_ABORT, 0, 0, 0, 0, 4, zlib.crc32(b"\xff{}!")))
    + b"\xff{}!",
    "an abort of a stranger's file": frames.encode_abort(
        9, SourceFailed("it broke").problem(Side.SOURCE, Phase.TRANSFER)
    ),
}


@pytest.mark.parametrize("what", VIOLATIONS)
def test_a_violation_ends_its_stream_and_nothing_else(stage: Stage, what: str) -> None:
    honest, hostile = stage.peer(), stage.peer()
    honest.block(0)
    assert honest.answers(1) == [Kind.ACK]
    hostile.send(VIOLATIONS[what])
    hostile.wait_ended()
    for offset in range(BLOCK, SIZE, BLOCK):
        honest.block(offset)
    honest.end()
    stage.check_done()


def test_an_end_with_another_checksum_fails_the_file(stage: Stage) -> None:
    peer = stage.peer()
    for offset in range(0, SIZE, BLOCK):
        peer.block(offset)
    peer.end(123)
    stage.check_failed("checksum-mismatch")


@pytest.mark.parametrize(("size", "mtime"), [(SIZE - 1, MTIME), (SIZE, MTIME + 1)])
def test_an_end_with_another_size_or_time_fails_the_file(stage: Stage, size: int, mtime: int) -> None:
    peer = stage.peer()
    for offset in range(0, SIZE, BLOCK):
        peer.block(offset)
    peer.end(size=size, mtime=mtime)
    stage.check_failed("source-changed")


def test_a_file_whose_last_block_never_comes_is_not_done(stage: Stage) -> None:
    peer = stage.peer()
    for offset in range(0, SIZE - BLOCK, BLOCK):
        peer.block(offset)
    for _ in range(3):
        peer.end()
    peer.bye()
    stage.writer.wait_end()
    assert stage.writer.outcomes[0].state is State.FAILED
    assert not stage.target.exists()


def test_a_block_that_hangs_on_one_stream_and_comes_on_another_is_written_by_the_second_alone(stage: Stage) -> None:
    slow, quick = stage.peer(), stage.peer()
    slow.send(frames.encode_block(0, 0, BLOCK) + bytes(BLOCK // 2))
    quick.block(BLOCK)
    assert quick.answers(1) == [Kind.ACK]
    for offset in (0, *range(2 * BLOCK, SIZE, BLOCK)):
        quick.block(offset)
        assert quick.answers(1) == [Kind.ACK]
    try:
        slow.send(bytes(BLOCK // 2) + frames.encode_trailer(zlib.adler32(bytes(BLOCK))))
    except OSError:
        pass  # it was shown out, as it should be
    quick.end()
    stage.check_done()


def leave_partial(stage: Stage, extents: list[Extent]) -> Path:
    """Leave what an earlier attempt might have: the right bytes where the journal says so, else zeros."""
    stage.target.parent.mkdir()
    partial = stage.target.parent / os.fsdecode(partial_name(b"file"))
    content = bytearray(SIZE)
    for extent in extents:
        content[extent.offset : extent.offset + extent.length] = CONTENT[extent.offset : extent.offset + extent.length]
    partial.write_bytes(content)
    file = DestinationFile(0, os.fsencode(stage.target), SIZE, MTIME, 0o644, b"fdt://s/file")
    start = encode_start(Identity.of(file, POLICY.checksum, partial.stat().st_ino))
    journal = stage.target.parent / os.fsdecode(journal_name(b"file"))
    journal.write_bytes(start + encode_records(extents))
    return partial


def kept_half() -> list[Extent]:
    return [Extent(at, BLOCK, zlib.adler32(CONTENT[at : at + BLOCK])) for at in range(0, SIZE // 2, BLOCK)]


@pytest.fixture
def resumed(tmp_path: Path) -> Iterator[Stage]:
    """Let a writer go on with half of the file."""
    made = Stage(tmp_path)
    leave_partial(made, kept_half())
    verdict = made.expect()
    assert verdict.action is Action.SEND and sum(extent.length for extent in verdict.kept) == SIZE // 2
    made.listen()
    yield made
    made.close()


def test_a_kept_part_is_taken_by_its_sum(resumed: Stage) -> None:
    peer = resumed.peer()
    for offset in range(SIZE // 2, SIZE, BLOCK):
        peer.block(offset)
    peer.sum(0, SIZE // 2)
    peer.end()
    resumed.check_done()


def test_a_damaged_block_over_a_kept_part_is_not_forgiven_by_its_sum(resumed: Stage) -> None:
    """The bytes that the sum is about have been overwritten by then."""
    peer = resumed.peer()
    peer.block(0, content=bytes(SIZE))
    peer.wait_ended()
    again = resumed.peer()
    again.sum(0, SIZE // 2)
    for offset in range(SIZE // 2, SIZE, BLOCK):
        again.block(offset)
    again.end()
    resumed.check_done()


def test_a_refusal_that_was_lost_with_its_stream_is_said_again(resumed: Stage) -> None:
    """The reader cannot know of it: it says the sum again on another stream."""
    for _ in range(2):
        peer = resumed.peer()
        peer.sum(0, SIZE // 2, 99)
        assert peer.answers(1) == [Kind.NAK]
    for offset in range(0, SIZE, BLOCK):
        peer.block(offset)
    peer.end()
    resumed.check_done()


def test_a_kept_part_that_was_refused_and_damaged_is_not_kept_for_the_next_attempt(resumed: Stage) -> None:
    """A flipped bit in a SUM, then one in the block that is sent instead, then the end of everything."""
    peer = resumed.peer()
    peer.sum(0, SIZE // 2, 99)
    peer.block(0, content=bytes(SIZE))
    assert peer.answers(2) == [Kind.NAK, Kind.NAK]
    resumed.writer.process.kill()
    resumed.writer.process.wait()
    with Mover(Setup(Role.WRITER, JOB, (b"/",), POLICY)) as second:
        file = DestinationFile(0, os.fsencode(resumed.target), SIZE, MTIME, 0o644, b"fdt://s/file")
        second.say(Expect(0, (file,), last=True))
        (verdict,) = second.wait_for(Expected).verdicts
        second.say(Stop(discard=False))
        assert isinstance(second.wait_end(), Ended)
    partial = resumed.target.parent / os.fsdecode(partial_name(b"file"))
    written = partial.read_bytes() if partial.exists() else b""
    for extent in verdict.kept:
        assert zlib.adler32(written[extent.offset : extent.offset + extent.length]) == extent.checksum
