"""Streams over wires that fail: interfaces that go down and come back, lead nowhere, or swallow large packets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fdtcp.model.order import Policy, Progress, SetRate, State
from tests.helpers.movers import Job
from tests.helpers.twohosts import FAR, NEAR, TwoHosts

MIB = 1 << 20
SLOW = 4 * MIB

pytestmark = pytest.mark.root

WAYS = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])


@pytest.fixture
def hosts() -> Iterator[TwoHosts]:
    with TwoHosts(2) as hosts:
        yield hosts


def job_between(hosts: TwoHosts, home: Path, policy: Policy, size: int, *, reverse: bool, wires: int = 2) -> Job:
    """Return a job from the near to the far host, over the first of the wires or both."""
    (home / "source").write_bytes(os.urandom(size))
    ends = (FAR, NEAR) if reverse else (NEAR, FAR)
    return Job(
        [(home / "source", home / "target")],
        policy,
        addresses=hosts.addresses(ends[1])[:wires],
        addresses_of_connector=hosts.addresses(ends[0])[:wires],
        reader_command=hosts.command(NEAR),
        writer_command=hosts.command(FAR),
        reverse=reverse,
    )


def alive_on(wire: int) -> Callable[[Progress], int]:
    """Return how many streams run over a wire."""
    return lambda progress: sum(
        stream.alive and stream.local.startswith(f"10.98.{wire}.") for stream in progress.streams
    )


def check_same(home: Path) -> None:
    assert (home / "target").read_bytes() == (home / "source").read_bytes()


@WAYS
def test_streams_come_back_with_their_interface(hosts: TwoHosts, tmp_path: Path, *, reverse: bool) -> None:
    """A job that was carried over the other wire meanwhile does not crawl on with half of its streams."""
    policy = Policy(streams=4, stall_timeout=0.5, connect_timeout=0.5, block_size=256 << 10, rate_limit=SLOW)
    first, second = alive_on(0), alive_on(1)
    with job_between(hosts, tmp_path, policy, 96 * MIB, reverse=reverse) as job:
        job.start()
        job.reader.wait_until(lambda progress: first(progress) == second(progress) == 2)
        hosts.ip(NEAR, "link", "set", "wire1", "down")
        job.reader.wait_until(lambda progress: (first(progress), second(progress)) == (2, 0))
        # Each tries for longer than the job would if it had no other streams.
        connector = job.writer if reverse else job.reader
        job.reader.wait_until(lambda _: connector.read_log().count("connect-failed") >= 6)
        hosts.ip(NEAR, "link", "set", "wire1", "up")
        job.reader.wait_until(lambda progress: first(progress) == second(progress) == 2)
        for mover in (job.reader, job.writer):
            mover.say(SetRate(0))
        end = job.writer.wait_end()
        assert end.problem is None and job.writer.outcomes[0].state is State.DONE
        assert job.reader.wait_end().problem is None
    check_same(tmp_path)


@WAYS
def test_one_stream_finds_the_pair_of_addresses_that_works(hosts: TwoHosts, tmp_path: Path, *, reverse: bool) -> None:
    hosts.ip(FAR, "address", "del", "10.98.0.2/24", "dev", "wire0")
    # It still is an address of that host, which nobody reaches.
    hosts.ip(FAR, "address", "add", "10.98.0.2/32", "dev", "lo")
    hosts.ip(NEAR, "route", "add", "blackhole", "10.98.0.2/32")
    with job_between(hosts, tmp_path, Policy(streams=1), MIB, reverse=reverse) as job:
        assert job.run()[0].state is State.DONE
    check_same(tmp_path)


@WAYS
def test_a_way_that_swallows_large_packets_is_gone_in_small_ones(
    hosts: TwoHosts, tmp_path: Path, *, reverse: bool
) -> None:
    hosts.swallow_large(0, 1400)
    policy = Policy(streams=2, stall_timeout=0.6, connect_timeout=3.0)
    with job_between(hosts, tmp_path, policy, 2 * MIB, reverse=reverse, wires=1) as job:
        assert job.run()[0].state is State.DONE
        log = job.reader.read_log() + job.writer.read_log()
    assert "small-packets" in log
    check_same(tmp_path)


def test_one_stream_leaves_a_way_that_swallows_large_packets_for_one_that_does_not(
    hosts: TwoHosts, tmp_path: Path
) -> None:
    hosts.swallow_large(0, 1400)
    policy = Policy(streams=1, stall_timeout=0.6, connect_timeout=3.0)
    with job_between(hosts, tmp_path, policy, 2 * MIB, reverse=False) as job:
        assert job.run()[0].state is State.DONE
        log = job.reader.read_log()
    assert "small-packets" not in log and "local=10.98.1." in log
    check_same(tmp_path)
