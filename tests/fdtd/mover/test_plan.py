"""Which block travels on which stream, as dialogues."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdtcp.errors import Phase, Problem, ProtocolViolation, Side, SourceChanged
from fdtcp.model.order import Action, Checksum, Extent
from fdtd.mover.frames import SHORT_FILE_BYTES, SMALL_FILE_BYTES
from fdtd.mover.plan import Plan
from fdtd.mover.sums import sum_of
from fdtd.mover.work import AbortWork, BatchWork, BlockWork, EndWork, Work

BLOCK = 1 << 20
ADLER = sum_of(Checksum.ADLER32)


def make_plan() -> Plan:
    return Plan(ADLER, ADLER, BLOCK)


def problem() -> Problem:
    return SourceChanged("x").problem(Side.SOURCE, Phase.TRANSFER)


def drain(plan: Plan, stream: int = 1) -> list[Work]:
    """Deal, send and answer until nothing is left."""
    works = []
    while (work := plan.next(stream, batches=True)) is not None:
        works.append(work)
        plan.sent(work, 1)
        plan.answered(work)
    return works


def test_each_stream_prefers_a_large_file_of_its_own() -> None:
    plan = make_plan()
    for file in (0, 1):
        plan.add(file, 4 * BLOCK, Action.SEND)
    dealt = [plan.next(stream, batches=False) for stream in (1, 2, 1, 2)]
    assert [(work.file, work.offset) for work in dealt if isinstance(work, BlockWork)] == [
        (0, 0),
        (1, 0),
        (0, BLOCK),
        (1, BLOCK),
    ]


def test_streams_without_a_file_of_their_own_help_with_another() -> None:
    plan = make_plan()
    plan.add(0, 3 * BLOCK, Action.SEND)
    dealt = [plan.next(stream, batches=False) for stream in (1, 2, 3, 1)]
    assert [work.offset for work in dealt if isinstance(work, BlockWork)] == [0, BLOCK, 2 * BLOCK]
    assert dealt[3] is None


def test_short_files_travel_in_batches_on_the_streams_that_carry_them() -> None:
    plan = make_plan()
    for file in range(20):
        plan.add(file, SHORT_FILE_BYTES, Action.SEND)
    assert plan.next(2, batches=False) is None
    assert plan.next(1, batches=True) == BatchWork(tuple(range(16)))


def test_small_files_that_are_not_short_travel_in_batches_on_all_streams_in_their_turn() -> None:
    plan = make_plan()
    size = SMALL_FILE_BYTES // 2
    for file in (0, 1, 2, 4):
        plan.add(file, 3 * BLOCK if file == 4 else size, Action.SEND)
    plan.add(5, size, Action.SEND)
    dealt = [plan.next(stream, batches=False) for stream in (1, 2, 3, 1, 2)]
    assert dealt[:2] == [BatchWork((0, 1)), BatchWork((2,))]
    assert [work.file for work in dealt[2:4] if isinstance(work, BlockWork)] == [4]
    assert dealt[3] == BatchWork((5,))


def test_what_a_dead_stream_had_of_them_is_dealt_again_and_what_is_unwanted_is_not() -> None:
    for size in (SHORT_FILE_BYTES, SMALL_FILE_BYTES // 4):
        plan = make_plan()
        for file in range(4):
            plan.add(file, size, Action.SEND)
        plan.close()
        dealt = plan.next(1, batches=True)
        assert dealt == BatchWork((0, 1, 2, 3))
        plan.sent(dealt)
        plan.dropped(1)
        plan.lost(1, [dealt])
        plan.dropped(0)
        assert [work.files for work in drain(plan, 2) if isinstance(work, BatchWork)] == [(2, 3)]
        assert plan.is_finished


def test_plain_files_are_taken_on_together_as_they_are_one_by_one() -> None:
    sizes = [0, 1, SMALL_FILE_BYTES, SMALL_FILE_BYTES + 1, 3]
    together, one_by_one = make_plan(), make_plan()
    together.add_plain(range(len(sizes)), sizes)
    for file, size in enumerate(sizes):
        one_by_one.add(file, size, Action.SEND)
    assert drain(together) == drain(one_by_one)
    together.add_plain([7], [1])
    with pytest.raises(ProtocolViolation):
        together.add_plain([7], [1])


def test_the_end_follows_the_last_block_and_carries_the_combined_sum() -> None:
    plan = make_plan()
    plan.add(0, BLOCK + 1, Action.SEND)
    plan.close()
    first, second = plan.next(1, batches=True), plan.next(2, batches=True)
    assert first is not None and second is not None
    plan.sent(second, 0x00020002)
    assert plan.next(1, batches=True) is None
    plan.sent(first, 0x00010001)
    end = plan.next(1, batches=True)
    assert end == EndWork(0, ADLER.combine([(BLOCK, 0x00010001), (1, 0x00020002)]))
    assert plan.answered(first) == [] and plan.answered(end) == []
    assert plan.answered(second) == [0]
    assert plan.is_finished


def test_kept_parts_are_summed_and_the_gaps_are_sent() -> None:
    plan = make_plan()
    plan.add(0, 5 * BLOCK, Action.SEND, (Extent(BLOCK, 2 * BLOCK, 7),))
    works = drain(plan)
    assert works[:-1] == [
        BlockWork(0, 0, BLOCK, payload=True),
        BlockWork(0, BLOCK, 2 * BLOCK, payload=False),
        BlockWork(0, 3 * BLOCK, BLOCK, payload=True),
        BlockWork(0, 4 * BLOCK, BLOCK, payload=True),
    ]


def test_a_refused_kept_part_is_sent_in_blocks_and_the_end_again() -> None:
    plan = make_plan()
    plan.add(0, 2 * BLOCK, Action.SEND, (Extent(0, 2 * BLOCK, 7),))
    kept = plan.next(1, batches=True)
    assert isinstance(kept, BlockWork)
    plan.sent(kept, 1)
    end = plan.next(1, batches=True)
    assert isinstance(end, EndWork)
    plan.sent(end)
    plan.refused(kept)
    assert plan.answered(end) == []
    works = drain(plan)
    assert [type(work) for work in works] == [BlockWork, BlockWork, EndWork]
    assert all(work.payload for work in works if isinstance(work, BlockWork))


def test_a_refused_small_file_travels_as_a_block() -> None:
    plan = make_plan()
    plan.add(0, 10, Action.SEND)
    plan.add(1, 10, Action.SEND)
    plan.close()
    batch = plan.next(1, batches=True)
    assert isinstance(batch, BatchWork)
    plan.sent(batch)
    plan.refused_small(1)
    assert plan.answered(batch) == [0]
    assert [type(work) for work in drain(plan)] == [BlockWork, EndWork]
    assert plan.is_finished


def test_a_failed_source_is_told_once_and_its_blocks_are_forgotten() -> None:
    plan = make_plan()
    plan.add(0, 4 * BLOCK, Action.SEND)
    plan.close()
    one, two = plan.next(1, batches=True), plan.next(2, batches=True)
    assert one is not None and two is not None
    plan.failed(0, problem())
    plan.sent(one, 1)
    plan.failed(0, problem())
    plan.lost(2, [two])
    abort = plan.next(1, batches=True)
    assert abort == AbortWork(0, problem())
    assert plan.next(1, batches=True) is None
    plan.answered(one)
    assert plan.answered(abort) == [0]
    assert plan.is_finished


def test_a_source_that_fails_when_its_file_has_ended_is_nobodys_business() -> None:
    plan = make_plan()
    plan.add(0, 4 * BLOCK, Action.SEND)
    plan.close()
    work = plan.next(1, batches=True)
    assert work is not None
    plan.failed(0, problem())
    plan.dropped(0)
    assert plan.next(1, batches=True) is None
    plan.failed(0, problem())
    assert plan.next(1, batches=True) is None
    assert plan.is_finished


def test_a_dropped_file_is_forgotten() -> None:
    plan = make_plan()
    plan.add(0, 4 * BLOCK, Action.SEND)
    plan.close()
    work = plan.next(1, batches=True)
    assert work is not None
    plan.dropped(0)
    plan.sent(work, 1)
    assert plan.answered(work) == []
    assert plan.is_finished and plan.next(1, batches=True) is None


def test_skipped_files_need_nothing_and_empty_ones_are_compared_by_their_end() -> None:
    plan = make_plan()
    plan.add(0, 10, Action.SKIP)
    plan.add(1, 0, Action.COMPARE)
    plan.close()
    assert drain(plan) == [EndWork(1, ADLER.start)]
    assert plan.is_finished


def test_a_file_released_twice_is_a_violation() -> None:
    plan = make_plan()
    plan.add(0, 10, Action.SEND)
    with pytest.raises(ProtocolViolation):
        plan.add(0, 10, Action.SEND)


def test_more_streams_are_wanted_only_while_they_would_have_work() -> None:
    plan = make_plan()
    assert not plan.waits_for_streams(0)
    plan.add(0, 10 * BLOCK, Action.SEND)
    assert plan.waits_for_streams(1) and not plan.waits_for_streams(5)
    drain(plan)
    assert not plan.waits_for_streams(1)


def test_short_files_want_more_streams_where_all_carry_them() -> None:
    plan = make_plan()
    for file in range(40):
        plan.add(file, SHORT_FILE_BYTES, Action.SEND)
    assert not plan.waits_for_streams(1)
    assert plan.waits_for_streams(1, batches=True) and not plan.waits_for_streams(4, batches=True)


def test_small_files_that_are_not_short_want_more_streams_as_blocks_do() -> None:
    plan = make_plan()
    for file in range(3):
        plan.add(file, SMALL_FILE_BYTES, Action.SEND)
    assert plan.waits_for_streams(1) and not plan.waits_for_streams(2)


def test_empty_files_want_no_streams_of_their_own() -> None:
    plan = make_plan()
    for file in range(100):
        plan.add(file, 0, Action.SEND)
    assert not plan.waits_for_streams(1, batches=True)


def test_over_a_long_path_the_end_of_the_last_file_is_cut_finer() -> None:
    plan = make_plan()
    plan.shares = 1
    for file in (0, 1):
        plan.add(file, 12 * BLOCK + 5, Action.SEND)
    cuts: dict[int, list[int]] = {0: [], 1: []}
    for work in drain(plan):
        if isinstance(work, BlockWork):
            assert work.offset == sum(cuts[work.file])
            cuts[work.file].append(work.length)
    assert [sum(lengths) for lengths in cuts.values()] == [12 * BLOCK + 5] * 2
    assert cuts[0] == [BLOCK] * 12 + [5]
    assert cuts[1] == sorted(cuts[1], reverse=True)
    assert cuts[1][0] == BLOCK and cuts[1][-8:-1] == [BLOCK // 4] * 7


@given(
    sizes=st.lists(st.integers(0, 5 * BLOCK), min_size=1, max_size=8),
    seed=st.integers(0, 1 << 30),
)
def test_whatever_dies_or_is_refused_all_is_answered(sizes: list[int], seed: int) -> None:  # noqa: C901  # one story
    rng = random.Random(seed)  # noqa: S311  # a shuffle, not a secret
    plan = make_plan()
    for file, size in enumerate(sizes):
        plan.add(file, size, Action.SEND)
    plan.close()
    flying: dict[int, list[Work]] = {1: [], 2: [], 3: []}
    covered: dict[int, set[int]] = {file: set() for file in range(len(sizes))}
    ended: set[int] = set()
    trouble = 60
    for _ in range(2000):
        if plan.is_finished:
            break
        stream = rng.choice([1, 2, 3])
        if flying[stream] and rng.random() < 0.5:
            work = flying[stream].pop(0)
            if isinstance(work, BlockWork) and trouble and rng.random() < 0.2:
                trouble -= 1
                plan.refused(work)
                continue
            if isinstance(work, BlockWork):
                covered[work.file].add(work.offset)
            ended.update(plan.answered(work))
        elif trouble and rng.random() < 0.1:
            trouble -= 1
            plan.lost(stream, flying[stream])
            flying[stream] = []
        elif (dealt := plan.next(stream, batches=stream == 1)) is not None:
            flying[stream].append(dealt)
            plan.sent(dealt, 1)
    assert plan.is_finished
    assert ended == set(range(len(sizes)))
    for file, size in enumerate(sizes):
        if size > SMALL_FILE_BYTES:
            assert covered[file] == set(range(0, size, BLOCK))
