"""A real writer that goes on with what an earlier attempt left, and a peer that treats it badly.

A journal vouches for bytes that the writer never reads again; so nothing may be written over them while it does.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.model.order import Action, DestinationFile, Ended, Expect, Expected, Extent, Role, Setup, State, Stop
from fdtd.mover import frames
from fdtd.mover.frames import Kind
from fdtd.mover.journal import Identity, encode_records, encode_start
from fdtd.mover.sums import join_adler32
from fdtd.storage.names import journal_name, partial_name
from tests.helpers.movers import Mover
from tests.helpers.peer import BLOCK, CONTENT, JOB, MTIME, PIECE, POLICY, SIZE, Stage


def leave_partial(stage: Stage, extents: list[Extent], content: bytes = CONTENT) -> None:
    """Leave what an earlier attempt might have: the right bytes where the journal says so, else zeros."""
    stage.target.parent.mkdir()
    partial = stage.target.parent / os.fsdecode(partial_name(b"file"))
    with partial.open("wb") as written:
        written.truncate(stage.size)
        for extent in extents:
            os.pwrite(written.fileno(), content[extent.offset : extent.offset + extent.length], extent.offset)
    file = DestinationFile(0, os.fsencode(stage.target), stage.size, MTIME, 0o644, b"fdt://s/file")
    start = encode_start(Identity.of(file, POLICY.checksum, partial.stat().st_ino))
    journal = stage.target.parent / os.fsdecode(journal_name(b"file"))
    journal.write_bytes(start + encode_records(extents))


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


def test_a_block_across_four_gib_lands_where_it_belongs(tmp_path: Path) -> None:
    """All before it was kept, so that the test need not send it."""
    tail = CONTENT[:12_345]
    start = (4 << 30) - 3
    stage = Stage(tmp_path, size=start + len(tail))
    try:
        # The adler32 of zeros: 1, and as often 1 as there are of them.
        extents = [
            Extent(at, n, n % 65521 << 16 | 1) for at in range(0, start, PIECE) for n in [min(PIECE, start - at)]
        ]
        leave_partial(stage, extents, b"")
        assert stage.expect().kept == tuple(extents)
        stage.listen()
        peer = stage.peer()
        for extent in reversed(extents):
            peer.sum(extent.offset, extent.length, extent.checksum)
        peer.send(frames.encode_block(0, start, len(tail)) + tail + frames.encode_trailer(zlib.adler32(tail)))
        whole = join_adler32(start % 65521 << 16 | 1, zlib.adler32(tail), len(tail))
        peer.end(whole, size=stage.size)
        outcome = stage.outcome()
        assert (outcome.state, outcome.kept, outcome.moved) == (State.DONE, start, len(tail)), outcome
        with stage.target.open("rb") as file:
            file.seek(start - 100)
            assert file.read() == bytes(100) + tail
    finally:
        stage.close()
