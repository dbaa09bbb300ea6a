from __future__ import annotations

import io
from typing import NoReturn

import pytest

from fdtcp.cli.output import Log
from fdtcp.cli.summary import MAX_FAILURES, MAX_JOBS, greet, name_jobs, say_failures, sum_up
from fdtcp.errors import Phase, Side, SourceMissing, Unreachable
from fdtcp.model.job import group
from fdtcp.model.options import Options
from fdtcp.model.order import Outcome, Policy, State, StreamProgress
from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer
from fdtcp.result import Result, collect, fail_all
from fdtcp.runner import JobResult, Runner
from fdtcp.stages import Stage
from fdtcp.thirdparty import Progress

DEAD = Unreachable("no answer").problem(Side.SOURCE, Phase.CONNECT)


def transfers(number: int) -> tuple[Transfer, ...]:
    return tuple(Transfer(Pfn.parse(b"fdt://a/%d" % n), Pfn.parse(b"fdt://b/%d" % n)) for n in range(number))


def result(outcomes: dict[int, Outcome], files: int, *, dead: bool = False, trace: str = "") -> Result:
    (job,) = group(transfers(files))
    streams = (StreamProgress(0, "127.1.0.3", "127.1.0.2", 2048, alive=True),)
    progress = Progress(Stage.ENDED, files, 0, 0, 0, 0, 2048, streams)
    made = JobResult(job, "ab" * 16, outcomes, (DEAD,) if dead else (), progress, (), {}, 1.0, trace)
    return collect(transfers(files), [made], began=0.0, seconds=2.0, is_stopped=len(outcomes) < files)


def missing(index: int) -> Outcome:
    problem = SourceMissing(f"{index} is not there").problem(Side.SOURCE, Phase.PREFLIGHT)
    return Outcome(index, State.FAILED, 0, problem=problem)


def said(made: Result) -> list[str]:
    stream = io.StringIO()
    log = Log(stream)
    say_failures(made, log)
    sum_up(made, made.exit_code, "report", log)
    return [line[20:] for line in stream.getvalue().splitlines()]


def test_it_says_what_is_about_to_be_done() -> None:
    stream = io.StringIO()
    greet(transfers(1), group(transfers(1)), Log(stream))
    both = (*transfers(1), Transfer(Pfn.parse(b"fdt://b/0"), Pfn.parse(b"fdt://a/0")))
    greet(both, group(both), Log(stream))
    first, second = stream.getvalue().splitlines()
    assert first.endswith("1 file, a:8444 -> b:8444")
    assert second.endswith("2 files, 2 pairs of hosts side by side")


def test_failures_of_files_are_told_one_by_one() -> None:
    lines = said(result({0: missing(0), 1: Outcome(1, State.DONE, 5)}, 2))
    assert lines[0].startswith("FAILED fdt://a/0 -> fdt://b/0: source, pre-flight: 0 is not there")
    assert "1 done, 1 failed" in lines[1]
    assert "2.00 KiB moved, 1.02 kB/s" in lines[1]
    assert lines[2:] == ["data path 127.1.0.2 <-> 127.1.0.3: 2.00 KiB", "report: report", "exit code 1"]


def test_what_was_resumed_is_told() -> None:
    made = result({0: Outcome(0, State.DONE, 5000, 2048, kept=3072)}, 1)
    assert "2.00 KiB moved and 3.00 KiB resumed, 1.02 kB/s" in said(made)[0]


def test_what_befell_a_whole_job_is_told_once() -> None:
    outcomes = {index: Outcome(index, State.FAILED, 0, problem=DEAD) for index in range(50)}
    lines = said(result(outcomes, 50, dead=True))
    assert len([line for line in lines if line.startswith("FAILED")]) == 1


def test_why_nothing_was_begun_is_told_once() -> None:
    lines = said(fail_all(transfers(50), DEAD, began=0.0))
    assert len([line for line in lines if line.startswith("FAILED")]) == 1


def test_of_very_many_failures_the_first_are_told() -> None:
    lines = said(result({index: missing(index) for index in range(MAX_FAILURES + 5)}, MAX_FAILURES + 5))
    assert "... and 5 more failures" in lines


def test_a_stopped_run_says_how_much_is_unfinished() -> None:
    lines = said(result({}, 3))
    assert lines[0].startswith("stopped after 2.00 s: 3 files, 0 done, 3 unfinished")


@pytest.mark.parametrize(("pairs", "said"), [(2, 2), (MAX_JOBS + 1, 0)])
def test_jobs_are_named_for_other_terminals_where_they_are_few(pairs: int, said: int) -> None:
    moves = [Transfer(Pfn.parse(b"fdt://a%d/f" % n), Pfn.parse(b"fdt://b/%d" % n)) for n in range(pairs)]
    jobs = Runner(group(moves), Options(Policy()), refuse, contact=1.0).jobs
    stream = io.StringIO()
    name_jobs(jobs, Log(stream))
    lines = stream.getvalue().splitlines()
    assert len(lines) == said
    assert all(f"{job.id}@b:8444" in line for job, line in zip(jobs, lines, strict=False))


def refuse(*_: object) -> NoReturn:
    raise AssertionError("nothing is connected")
