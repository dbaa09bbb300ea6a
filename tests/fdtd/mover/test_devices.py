"""How many files of a device are begun: as dialogues, and between real movers."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdtcp.model.order import Action, Checksum, Policy, State
from fdtd.mover.devices import ANYWHERE, Devices, Place, Waiting
from fdtd.mover.plan import Plan
from fdtd.mover.sums import sum_of
from fdtd.mover.work import BatchWork, BlockWork, Work
from tests.helpers.movers import Job, Mover, Pair

BLOCK = 2 << 20
ADLER = sum_of(Checksum.ADLER32)


def files_of(works: list[Work | None]) -> list[int]:
    return [work.file for work in works if isinstance(work, BlockWork)]


def make_plan(readers: int, places: list[Place], size: int = 4 * BLOCK) -> Plan:
    plan = Plan(ADLER, ADLER, BLOCK, readers)
    for file, place in enumerate(places):
        plan.add(file, size, Action.SEND, place=place)
    plan.close()
    return plan


def test_without_a_bound_nothing_is_counted() -> None:
    devices = Devices()
    assert devices.add(1, Place(3, 4)) == ANYWHERE and not devices.is_bounded


def test_streams_share_a_file_where_no_other_may_be_begun() -> None:
    plan = make_plan(1, [Place(source=7)] * 3)
    assert files_of([plan.next(stream, batches=True) for stream in (1, 2, 3)]) == [0, 0, 0]


def test_each_device_has_its_own_bound() -> None:
    plan = make_plan(1, [Place(source=7), Place(source=7), Place(source=8)])
    assert files_of([plan.next(stream, batches=True) for stream in (1, 2, 3)]) == [0, 2, 0]


def test_a_file_is_read_until_its_last_block_has_left_and_written_until_it_is_over() -> None:
    for place, readers in ((Place(source=7), 1), (Place(target=7, writers=1), 0)):
        plan = make_plan(readers, [place] * 2, BLOCK)
        first = plan.next(1, batches=True)
        assert first == BlockWork(0, 0, BLOCK, payload=True) and plan.next(2, batches=True) is None
        plan.sent(first, 1)
        end = plan.next(1, batches=True)
        assert end is not None
        second = plan.next(2, batches=True)
        assert files_of([second]) == ([1] if readers else [])
        plan.answered(first)
        assert plan.answered(end) == [0]
        if second is None:
            assert files_of([plan.next(2, batches=True)]) == [1]


def test_a_batch_is_one_file_of_one_place() -> None:
    plan = Plan(ADLER, ADLER, BLOCK, 1)
    for file in range(6):
        plan.add(file, 10, Action.SEND, place=Place(source=file % 2))
    batches = [plan.next(stream, batches=True) for stream in (1, 2, 3)]
    assert batches == [BatchWork((0, 2, 4)), BatchWork((1, 3, 5)), None]
    plan.lost(1, [BatchWork((0, 2, 4))])
    assert plan.next(3, batches=True) == BatchWork((0, 2, 4))


def test_what_exists_is_compared_whoever_is_writing() -> None:
    plan = Plan(ADLER, ADLER, BLOCK)
    plan.add(0, 2 * BLOCK, Action.SEND, place=Place(target=7, writers=1))
    plan.add(1, 2 * BLOCK, Action.COMPARE, place=Place(target=7, writers=1))
    assert set(files_of([plan.next(1, batches=True), plan.next(2, batches=True)])) == {0, 1}


def test_files_that_wait_keep_their_order() -> None:
    waiting = Waiting()
    for file in range(4):
        waiting.append(file, ANYWHERE)
    found = waiting.next_lane(Devices())
    assert found is not None and waiting and list(waiting) == [0, 1, 2, 3]
    assert [found[0].popleft(), found[0].popleft()] == [0, 1]
    waiting.put_back([0, 1], ANYWHERE)
    assert list(waiting) == [0, 1, 2, 3]


PLACES = st.builds(Place, st.integers(1, 2), st.integers(1, 2), st.just(2))


@given(st.lists(st.tuples(PLACES, st.integers(0, 5)), max_size=12), st.integers(0, 1 << 30))
def test_whatever_happens_the_bounds_hold_and_all_files_are_sent(files: list[tuple[Place, int]], seed: int) -> None:
    """Works are dealt, sent, answered, refused and lost in any order."""
    chance = random.Random(seed)  # noqa: S311  # a test that can be repeated
    plan = Plan(ADLER, ADLER, BLOCK, 1)
    for file, (place, blocks) in enumerate(files):
        plan.add(file, blocks * BLOCK or 100, Action.SEND, place=place)
    plan.close()
    dealt: list[Work] = []
    sent: list[Work] = []
    finished: set[int] = set()
    for _ in range(2000):
        work = plan.next(chance.randint(1, 3), batches=True)
        if work is not None:
            dealt.append(work)
            check_bounds(files, dealt, sent)
        elif not dealt and not sent:
            break
        elif dealt and chance.random() < 0.5:
            one = dealt.pop(chance.randrange(len(dealt)))
            if chance.random() < 0.9:
                plan.sent(one, 1)
                sent.append(one)
            else:
                plan.lost(1, [one])
        elif sent:
            one = sent.pop(0)
            if isinstance(one, BlockWork) and chance.random() < 0.1:
                plan.refused(one)
            else:
                finished.update(plan.answered(one))
    assert plan.is_finished and finished == set(range(len(files)))


def check_bounds(files: list[tuple[Place, int]], dealt: list[Work], sent: list[Work]) -> None:
    for device in (1, 2):
        reading = {key for work in dealt for key, place in keys_of(files, work) if place.source == device}
        writing = {key for work in (*dealt, *sent) for key, place in keys_of(files, work) if place.target == device}
        assert len(reading) <= 1 and len(writing) <= 2


def keys_of(files: list[tuple[Place, int]], work: Work) -> list[tuple[object, Place]]:
    """Return what a work reads and writes: a batch has its files one after the other."""
    if isinstance(work, BatchWork):
        return [(work, files[work.files[0]][0])]
    return [(work.file, files[work.file][0])] if isinstance(work, BlockWork) else []


@pytest.fixture
def other_device(tmp_path: Path) -> Iterator[Path]:
    with TemporaryDirectory(dir="/dev/shm") as directory:
        if Path(directory).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("one file system only")
        yield Path(directory)


def open_in(mover: Mover, directory: Path) -> int:
    """Count the files below a directory that a mover has open: a look takes time, so what two looks see."""
    return len(look_in(mover, directory) & look_in(mover, directory))


def look_in(mover: Mover, directory: Path) -> set[str]:
    found = set()
    fds = Path(f"/proc/{mover.process.pid}/fd")
    for name in os.listdir(fds):
        try:
            found.add(os.readlink(fds / name))
        except FileNotFoundError:
            pass  # closed meanwhile
    return {name for name in found if name.startswith(f"{directory}/")}


def test_a_real_writer_has_as_many_files_of_a_device_as_it_may(tmp_path: Path, other_device: Path) -> None:
    """A source is open from its first block until its last answer: that is as long as its destination is written."""
    pairs: list[Pair] = []
    for name, target in (("a", tmp_path / "to"), ("b", other_device / "to")):
        (tmp_path / name).mkdir()
        for number in range(4):
            source = tmp_path / name / str(number)
            source.write_bytes(os.urandom(BLOCK))
            pairs.append((source, target / str(number)))
    seen = []
    with Job(pairs, Policy(streams=4, writers=1, rate_limit=8 * BLOCK, block_size=512 << 10)) as job:
        job.start()
        while len(job.writer.outcomes) < len(pairs):
            seen.append((open_in(job.reader, tmp_path / "a"), open_in(job.reader, tmp_path / "b")))
            job.writer.hear()
        assert {outcome.state for outcome in job.writer.outcomes.values()} == {State.DONE}
    assert max(max(pair) for pair in seen) == 1
    assert all(Path(os.fsdecode(a)).read_bytes() == Path(os.fsdecode(b)).read_bytes() for a, b in pairs)


def test_real_readers_keep_to_their_bound_and_come_to_an_end(tmp_path: Path) -> None:
    pairs: list[Pair] = []
    for number, size in enumerate([3 * BLOCK, 0, 100, 5 * BLOCK, 300_000, 2 * BLOCK, *[1000] * 50]):
        (tmp_path / str(number)).write_bytes(os.urandom(size))
        pairs.append((tmp_path / str(number), tmp_path / "to" / str(number)))
    with Job(pairs, Policy(streams=4, readers=1, writers=1, block_size=512 << 10)) as job:
        outcomes = job.run()
    assert {outcome.state for outcome in outcomes.values()} == {State.DONE} and len(outcomes) == len(pairs)
