"""A rate limit holds over all streams, and may change while they wait."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from fdtcp.model.order import Policy, SetRate, State
from fdtd.mover.rate import WRITERS_BURST_S, RateLimit
from tests.helpers.movers import Job, Mover

MB = 1_000_000
WITHIN_S = 20.0


def test_no_limit_never_waits() -> None:
    limit = RateLimit(0)
    began = time.monotonic()
    for _ in range(1000):
        limit.wait(1 << 30)
    assert time.monotonic() - began < WITHIN_S and limit.piece == 0


def test_the_limit_holds_for_all_threads_together() -> None:
    limit = RateLimit(10_000_000)

    def send() -> None:
        for _ in range(5):
            limit.wait(500_000)

    threads = [threading.Thread(target=send) for _ in range(2)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # 5 MB at 10 MB/s, less the last piece (nobody waits for it) and one burst.
    assert 0.35 < time.monotonic() - began < WITHIN_S


def test_pieces_are_a_burst() -> None:
    assert RateLimit(10_000_000).piece == 500_000
    assert RateLimit(1).piece == 1
    assert (RateLimit(10_000_000).piece_of(1000), RateLimit(0).piece_of(1000)) == (1000, 1000)


def wait_in_thread(limit: RateLimit, count: int) -> threading.Thread:
    limit.wait(count)  # the first one never waits
    thread = threading.Thread(target=limit.wait, args=(count,))
    thread.start()
    return thread


def test_who_waits_goes_on_when_the_limit_is_raised() -> None:
    for faster in (0, 1 << 40):
        limit = RateLimit(1)
        thread = wait_in_thread(limit, 1000)
        limit.set(faster)
        thread.join(WITHIN_S)
        assert not thread.is_alive()


def test_a_limit_that_is_lowered_holds_for_those_who_wait() -> None:
    limit = RateLimit(MB)
    thread = wait_in_thread(limit, 1000 * MB)
    limit.set(1)
    assert limit.piece == 1 and thread.is_alive()
    limit.set(0)
    thread.join(WITHIN_S)
    assert not thread.is_alive()


def test_a_writer_follows_a_higher_limit_at_once_and_a_lower_one_later() -> None:
    limit = RateLimit(1000, WRITERS_BURST_S)
    limit.follow(2000)
    assert limit.piece == 100
    limit.follow(1000)
    limit.tick(time.monotonic())
    assert limit.piece == 100
    limit.tick(time.monotonic() + 10)
    assert limit.piece == 50
    limit.follow(1)
    limit.follow(0)
    limit.tick(time.monotonic() + 10)
    assert limit.piece == 0


def test_a_limit_that_returns_counts_from_then_on() -> None:
    limit = RateLimit(1)
    limit.wait(1000)
    limit.set(0)
    limit.set(1)
    thread = threading.Thread(target=limit.wait, args=(1,))
    thread.start()
    thread.join(WITHIN_S)
    assert not thread.is_alive()


def devices(rate: int) -> Job:
    return Job([(b"/dev/zero", b"/dev/null")], Policy(rate_limit=rate, zero_size=1 << 50, streams=2))


def wait_slow(mover: Mover, rate: int) -> None:
    """Wait for a second and a half with no more than a wide bound over that rate.

    The first look may be at words from before; a limit that does not hold never has such a time.
    """
    deadline = time.monotonic() + WITHIN_S
    while True:
        first = mover.wait_until(lambda _: True).moved
        began = time.monotonic()
        last = first
        while time.monotonic() - began < 1.5:
            last = mover.wait_until(lambda _: True).moved
        if last - first < 3 * rate * (time.monotonic() - began):
            return
        assert time.monotonic() < deadline, "the limit does not hold"


def wait_for_more(mover: Mover, count: int) -> None:
    first = mover.wait_until(lambda _: True).moved
    mover.wait_until(lambda progress: progress.moved >= first + count, WITHIN_S)


def test_a_running_transfer_is_slowed_and_hastened() -> None:
    """Bounds are wide: what is at stake is a factor of thirty."""
    with devices(4 * MB) as job:
        job.start()
        job.reader.say(SetRate(120 * MB))
        job.writer.say(SetRate(120 * MB))
        wait_for_more(job.reader, 80 * MB)
        job.reader.say(SetRate(4 * MB))
        wait_slow(job.reader, 4 * MB)
        job.reader.say(SetRate(0))
        wait_for_more(job.reader, 80 * MB)


def test_a_writer_holds_its_reader_to_the_limit() -> None:
    with devices(4 * MB) as job:
        job.start()
        job.reader.say(SetRate(0))
        wait_for_more(job.writer, 1)
        wait_slow(job.writer, 4 * MB)
        job.writer.say(SetRate(0))
        wait_for_more(job.writer, 80 * MB)


def test_small_files_keep_to_the_limit(tmp_path: Path) -> None:
    pairs = []
    for number in range(30):
        (tmp_path / str(number)).write_bytes(os.urandom(100_000))
        pairs.append((tmp_path / str(number), tmp_path / "to" / str(number)))
    with Job(pairs, Policy(rate_limit=2 * MB)) as job:
        began = time.monotonic()
        outcomes = job.run()
        assert time.monotonic() - began > 1.0
    assert {outcome.state for outcome in outcomes.values()} == {State.DONE}
    assert all(source.read_bytes() == target.read_bytes() for source, target in pairs)


def test_each_stream_can_be_paced_by_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(6 * MB))
    with Job([(tmp_path / "source", tmp_path / "target")], Policy(streams=1, stream_rate=4 * MB)) as job:
        began = time.monotonic()
        assert job.run()[0].state is State.DONE
        assert time.monotonic() - began > 0.75
