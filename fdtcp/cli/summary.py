"""What fdtcp says at the start and at the end of a run.

Decides which failures are told one by one: those of single files; what befell a whole job is told once for the job.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Final

from fdtcp.cli.output import Log
from fdtcp.model.job import Job
from fdtcp.model.order import State
from fdtcp.model.outcomes import Outcomes
from fdtcp.model.ticket import Ticket
from fdtcp.model.transfer import Transfer
from fdtcp.result import Result
from fdtcp.runner import RunningJob
from fdtcp.units import format_bit_rate, format_duration, format_rate, format_size

# The report has all of them; a log of a million lines has no reader.
MAX_FAILURES: Final = 100

# As many as are likely to be told apart; the log file has all of them.
MAX_JOBS: Final = 4


def greet(transfers: Sequence[Transfer], jobs: Sequence[Job], log: Log) -> None:
    """Say what is about to be done."""
    pairs = f"{jobs[0]}" if len(jobs) == 1 else f"{len(jobs)} pairs of hosts side by side"
    log.say(f"{_count(len(transfers), 'file')}, {pairs}")


def name_jobs(jobs: Sequence[RunningJob], log: Log) -> None:
    """Say by what names another terminal finds them."""
    for job in jobs:
        (log.say if len(jobs) <= MAX_JOBS else log.note)(
            f"job {Ticket(job.id, job.job.destination)}, for fdtcp status and fdtcp rate"
        )


def say_failures(result: Result, log: Log) -> None:
    """Say what went wrong, each thing once."""
    known = {result.problem} if result.problem is not None else set()
    if result.problem is not None:
        log.say(f"FAILED: {result.problem}")
    for job in result.jobs:
        for problem in job.problems:
            log.say(f"FAILED {job.job}: {problem}")
            known.add(problem)
        if job.trace:
            log.note(job.trace)
        for kept in job.kept:
            log.note(f"kept for the next attempt: {kept.path!r}, {format_size(kept.size)}")
        for step, at in job.times.items():
            log.note(f"job {job.id[:8]} {at:8.3f} s {step}")
    told = 0
    for place, problem in sorted(Outcomes.of(result.outcomes).problems.items(), key=itemgetter(0)):
        if problem in known:
            continue
        told += 1
        transfer = result.transfers[place]
        text = f"FAILED {transfer.source} -> {transfer.destination}: {problem}"
        (log.say if told <= MAX_FAILURES else log.note)(text)
    if told > MAX_FAILURES:
        log.say(f"... and {told - MAX_FAILURES} more failures")


def sum_up(result: Result, code: int, report: str | None, log: Log) -> None:
    """Say what the run came to."""
    done, skipped, failed = (result.count(state) for state in (State.DONE, State.SKIPPED, State.FAILED))
    open_ = len(result.outcomes) - done - skipped - failed
    parts = [f"{done} done"]
    parts += [f"{skipped} skipped (the same is there)"] if skipped else []
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{open_} unfinished"] if open_ else []
    resumed = f" and {format_size(result.resumed)} resumed" if result.resumed else ""
    word = "stopped" if result.is_stopped and open_ else "ended"
    log.say(
        f"{word} after {format_duration(result.seconds)}: {_count(len(result.outcomes), 'file')}, {', '.join(parts)}; "
        f"{format_size(result.moved)} moved{resumed}, {format_rate(result.rate)} ({format_bit_rate(result.rate)})"
    )
    for pair, moved in result.paths.items():
        log.say(f"data path {' <-> '.join(pair)}: {format_size(moved)}")
    if report is not None:
        log.say(f"report: {report}")
    if code:
        log.say(f"exit code {code}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
