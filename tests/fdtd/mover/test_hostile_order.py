"""A real writer and a peer that knows the secret, but sends what it likes: out of order, twice, or what nobody may.

The peer is the user's own reader gone wrong, so what is at stake is that nothing wrong is ever called done: a file is
right, or its job says that it failed, and nothing stays behind.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.errors import Phase, Side, SourceFailed
from fdtcp.model.order import State
from fdtd.mover import frames
from fdtd.mover.frames import End, Entry, Header, Kind, encode_header
from tests.helpers.peer import BLOCK, MTIME, SIZE, Stage


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
    for offset, peer in sent:
        peer.block(offset)
        assert peer.answers(1) == [Kind.ACK]
    # Last, or the file is complete with its last new block, and the job may be over before the duplicates are sent.
    peers[0].end()
    assert peers[0].answers(1) == [Kind.ACK]
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
