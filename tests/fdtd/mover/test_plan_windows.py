"""Dealing blocks of files whose storage takes bytes in order only."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdtcp.errors import ProtocolViolation
from fdtcp.model.order import Action, Checksum
from fdtd.mover.plan import Plan
from fdtd.mover.sums import sum_of
from fdtd.mover.work import BlockWork, EndWork, Work
from fdtd.storage.window import Window

KIB = 1 << 10
BLOCK = 512 * KIB
WINDOW = 4 * BLOCK
NONE = sum_of(Checksum.NONE)


def plan_of(*sizes: int) -> Plan:
    plan = Plan(NONE, NONE, 16 * BLOCK)
    for file, size in enumerate(sizes):
        plan.add(file, size, Action.SEND, window=WINDOW)
    plan.close()
    return plan


def deal(plan: Plan, stream: int) -> Work | None:
    work = plan.next(stream, batches=True)
    if work is not None:
        plan.sent(work)
    return work


def test_blocks_are_cut_so_that_several_fit() -> None:
    plan = plan_of(3 * BLOCK)
    assert deal(plan, 1) == BlockWork(0, 0, BLOCK, payload=True)


def test_no_stream_runs_ahead_of_the_window() -> None:
    plan = plan_of(10 * BLOCK)
    works = [deal(plan, stream) for stream in (1, 2, 3, 1, 2)]
    assert [work.offset // BLOCK if isinstance(work, BlockWork) else work for work in works] == [0, 1, 2, 3, None]
    assert works[1] is not None and works[0] is not None
    plan.answered(works[1])
    assert deal(plan, 2) is None  # the first is what the storage waits for
    plan.answered(works[0])
    after = [deal(plan, 2), deal(plan, 1), deal(plan, 3)]
    assert [work.offset // BLOCK if isinstance(work, BlockWork) else work for work in after] == [4, 5, None]


def test_a_refused_block_goes_before_all_others() -> None:
    plan = plan_of(10 * BLOCK)
    works = [deal(plan, 1) for _ in range(4)]
    assert isinstance(works[0], BlockWork) and isinstance(works[1], BlockWork)
    plan.answered(works[1])
    plan.refused(works[0])
    assert deal(plan, 2) == works[0]
    assert deal(plan, 2) is None


def test_what_a_dead_stream_had_is_dealt_from_the_lowest_on() -> None:
    plan = plan_of(10 * BLOCK)
    works = [work for _ in range(4) if (work := deal(plan, 1)) is not None]
    plan.lost(1, reversed(works))
    assert [deal(plan, 2) for _ in range(5)] == [*works, None]


def test_a_file_that_waits_lets_others_go_on() -> None:
    plan = plan_of(10 * BLOCK, 10 * BLOCK)
    dealt = [work for _ in range(9) if isinstance(work := deal(plan, 1), BlockWork)]
    assert [(work.file, work.offset // BLOCK) for work in dealt] == [(f, b) for f in (0, 1) for b in range(4)]


def test_a_window_smaller_than_a_block_still_ends() -> None:
    plan = Plan(NONE, NONE, BLOCK)
    plan.add(0, 1200 * KIB, Action.SEND, window=400 * KIB)
    plan.close()
    offset = 0
    while isinstance(work := deal(plan, 1), BlockWork):
        assert work.offset == offset
        offset += work.length
        plan.answered(work)
    assert isinstance(work, EndWork)
    assert offset == 1200 * KIB
    assert plan.answered(work) == [0]


@settings(max_examples=30)
@given(st.integers(0, 1 << 32), st.integers(1, 4))
def test_whatever_happens_the_storage_gets_every_byte_in_order(seed: int, streams: int) -> None:
    """Reader's plan and writer's window together: blocks are refused, streams die, answers come in any order."""
    chance = random.Random(seed)  # noqa: S311  # a test's
    content = chance.randbytes(120 * KIB * 10 + 7)
    plan = Plan(NONE, NONE, 30 * KIB)
    plan.add(0, len(content), Action.SEND, window=120 * KIB)
    got = bytearray()
    window = Window(got.extend, size=120 * KIB)
    under_way: list[tuple[int, BlockWork]] = []
    while len(got) < len(content):
        stream = chance.randrange(streams)
        if isinstance(work := deal(plan, stream), BlockWork):
            under_way.append((stream, work))
        assert under_way, "something always goes on"
        owner, block = chance.choice(under_way)
        event = chance.random()
        if event < 0.1:
            plan.lost(owner, [one for at, one in under_way if at == owner])
            under_way = [(at, one) for at, one in under_way if at != owner]
            continue
        under_way.remove((owner, block))
        window.write(memoryview(content)[block.offset : block.offset + block.length], block.offset)
        if event < 0.3:
            plan.refused(block)
        else:
            window.accept(block.offset, block.length)
            plan.answered(block)
    assert bytes(got) == content


def test_a_window_is_for_what_is_sent_only() -> None:
    plan = plan_of()
    plan.add(7, 10, Action.COMPARE, window=WINDOW)
    assert isinstance(work := deal(plan, 1), BlockWork) and not work.payload
    with pytest.raises(ProtocolViolation):
        plan.add(7, 10, Action.SEND, window=WINDOW)
