from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from fdtcp.contract import Describe, Release, Request
from fdtcp.errors import Side
from fdtcp.lines import Channel
from fdtcp.model.job import Job, group
from fdtcp.model.options import Options
from fdtcp.model.order import Outcome, State
from fdtcp.model.pfn import Address, Pfn
from fdtcp.model.transfer import Transfer
from fdtcp.runner import Runner
from tests.helpers.fakedaemons import FakePair


def jobs(files: int, *, dead: bool = False) -> tuple[Job, ...]:
    names = [b"%d" % number for number in range(files)]
    transfers = [
        Transfer(Pfn.parse(b"fdt://source.example:1/" + n), Pfn.parse(b"fdt://destination.example:2/" + n))
        for n in names
    ]
    if dead:
        transfers.insert(0, Transfer(Pfn.parse(b"fdt://dead.example:9/x"), Pfn.parse(b"fdt://destination.example:2/d")))
    return group(transfers)


def pair(files: int) -> FakePair:
    return FakePair({b"/%d" % number: number for number in range(files)})


def test_a_job_runs_to_its_end_and_tells_outcomes_on_the_way() -> None:
    told: list[Outcome] = []

    def note(_job: Job, outcomes: Sequence[Outcome]) -> None:
        told.extend(outcomes)

    looks: list[int] = []
    runner = Runner(jobs(2500), Options(), pair(2500).open, contact=5.0, on_final=note)
    (result,) = runner.run(lambda: False, lambda: looks.append(runner.jobs[0].progress.done))
    assert [result.outcomes[index].state for index in range(2500)] == [State.DONE] * 2500
    assert len(told) == 2500
    assert result.problems == ()
    assert result.progress.done == 2500
    assert looks[-1] == 2500
    assert len(result.id) == 32
    assert 0 <= result.times["started"] <= result.seconds


def test_a_dead_pair_does_not_hold_back_the_others() -> None:
    fake = pair(3)
    began = time.monotonic()
    finished: dict[int, float] = {}

    def open_(side: Side, address: Address, deadline: float) -> Channel:
        if address.host == "dead.example":
            time.sleep(0.5)
            fake.unreachable.add(address)
        return fake.open(side, address, deadline)

    def note(job: Job, outcomes: Sequence[Outcome]) -> None:
        finished.update({job.positions[outcome.index]: time.monotonic() - began for outcome in outcomes})

    dead, alive = Runner(jobs(3, dead=True), Options(), open_, contact=5.0, on_final=note).run(lambda: False)
    assert [outcome.state for outcome in dead.outcomes.values()] == [State.FAILED]
    assert [outcome.state for outcome in alive.outcomes.values()] == [State.DONE] * 3
    assert max(finished[position] for position in (1, 2, 3)) < finished[0]


def test_a_stop_reaches_the_daemons_and_ends_soon() -> None:
    fake = pair(2)
    released = threading.Event()

    def hold(request: Request) -> None:
        if isinstance(request, Release):
            fake.is_stalled = True
            released.set()

    fake.on_call = hold
    began = time.monotonic()
    (result,) = Runner(jobs(2), Options(), fake.open, contact=5.0).run(released.is_set)
    assert time.monotonic() - began < 6
    assert result.outcomes == {}
    assert [type(call).__name__ for _, call in fake.calls].count("Abort") == 2


def test_jobs_that_have_not_begun_are_not_begun_after_a_stop() -> None:
    fake = pair(1)
    runner = Runner(jobs(1), Options(), fake.open, contact=5.0)
    (result,) = runner.run(lambda: True)
    assert result.progress.files == 1


def test_a_bug_fails_the_files_and_keeps_its_traceback() -> None:
    fake = pair(2)
    told: list[Outcome] = []

    def note(_job: Job, outcomes: Sequence[Outcome]) -> None:
        if outcomes[0].state is State.DONE:
            raise ZeroDivisionError("a bug")
        told.extend(outcomes)

    (result,) = Runner(jobs(2), Options(), fake.open, contact=5.0, on_final=note).run(lambda: False)
    assert "ZeroDivisionError" in result.trace
    assert [problem.code for problem in result.problems] == ["internal"]
    assert len(result.outcomes) == 2


def test_a_lost_connection_is_opened_again() -> None:
    fake = pair(2)
    lost: list[Request] = []

    def lose(request: Request) -> None:
        if isinstance(request, Describe) and not lost:
            lost.append(request)
            from authsvc.errors import ChannelLost

            raise ChannelLost("gone")

    fake.on_call = lose
    (result,) = Runner(jobs(2), Options(), fake.open, contact=5.0).run(lambda: False)
    assert len(result.outcomes) == 2
    assert fake.connections == 3
