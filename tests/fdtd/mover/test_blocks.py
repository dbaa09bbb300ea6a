"""Which block of one file is next; how files and streams share them is in test_plan."""

from __future__ import annotations

from fdtcp.model.order import Checksum
from fdtd.mover.blocks import Blocks
from fdtd.mover.sums import sum_of
from fdtd.mover.work import BlockWork, cut

SUM = sum_of(Checksum.ADLER32)


def blocks_of(size: int, step: int, window: int = 0) -> Blocks:
    return Blocks(size, cut(7, 0, size, step, payload=True), SUM, window=window)


def deal(blocks: Blocks) -> list[int]:
    """Return the offsets of all blocks that may go now."""
    offsets = []
    while (work := blocks.next_block()) is not None:
        offsets.append(work.offset)
    return offsets


def test_what_came_back_travels_first() -> None:
    blocks = blocks_of(40, 10)
    first = blocks.next_block()
    assert first == BlockWork(7, 0, 10, payload=True)
    blocks.returned.append(first)
    assert deal(blocks) == [0, 10, 20, 30]
    assert not blocks.has_block()


def test_asking_whether_there_is_a_block_takes_none() -> None:
    blocks = blocks_of(20, 10)
    assert blocks.has_block() and blocks.has_block()
    assert deal(blocks) == [0, 10]


def test_no_block_runs_further_ahead_than_the_window() -> None:
    blocks = blocks_of(60, 10, window=30)
    assert deal(blocks) == [0, 10, 20]
    assert blocks.has_block()
    blocks.dealt.discard(10)  # out of order: the first one still holds the window
    assert deal(blocks) == []
    blocks.dealt.discard(0)
    assert deal(blocks) == [30, 40]


def test_the_lowest_block_that_came_back_always_may_go() -> None:
    blocks = blocks_of(60, 10, window=20)
    assert deal(blocks) == [0, 10]
    for offset in (10, 0):
        blocks.dealt.discard(offset)
        blocks.returned.append(BlockWork(7, offset, 10, payload=True))
    assert deal(blocks) == [0, 10]


def test_a_file_without_bytes_has_no_block() -> None:
    assert not Blocks(0, iter(()), SUM).has_block()
