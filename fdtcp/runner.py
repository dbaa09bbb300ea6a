"""The shell around the third parties: threads, connections and the clock.

Decides nothing about a job.  Each job has a thread that owns its machine, and each connection one that waits for its
answers; they meet in queues.  Jobs run side by side, so that one dead pair of hosts holds nobody back.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fdtcp.ends import Call, Close, Command, Open, Told
from fdtcp.errors import InternalError, Phase, Problem, Side
from fdtcp.lines import Answered, Failed, Line, NotOpened, Opened, Opener, Refused, Report
from fdtcp.model.job import Job
from fdtcp.model.options import Options
from fdtcp.model.order import KeptPartial, Outcome
from fdtcp.thirdparty import GRACE_S, Progress, ThirdParty
from fdtcp.value import dataclass

# Each job costs three threads here and a process at each end; a site's own limits are of this order.
MAX_JOBS_AT_ONCE: Final = 32
# How often a waiting main thread looks for a signal, and a display gets its chance.
LOOK_EVERY_S: Final = 0.2
# A machine that waits for nothing but answers says "infinity", which is no timeout to Python.
MAX_WAIT_S: Final = 60.0
# What stopped jobs may take altogether; a machine ends earlier by itself, this is for connections that hang.
STOP_WITHIN_S: Final = 6.0
# A line that hangs in the network ends with the program; one that does not is gone at once.
_LINE_JOIN_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class JobResult:
    """What became of a job: outcomes by index, problems of its ends, steps with their times (s since its start)."""

    job: Job
    id: str
    outcomes: Mapping[int, Outcome]
    problems: tuple[Problem, ...]
    progress: Progress
    kept: tuple[KeptPartial, ...]
    times: dict[str, float]
    seconds: float
    trace: str = ""  # the traceback of a bug of ours that ended the job


class RunningJob:
    """One job, its machine and its thread."""

    def __init__(
        self,
        job: Job,
        options: Options,
        opener: Opener,
        *,
        contact: float,
        grace: float,
        on_final: Callable[[Job, Sequence[Outcome]], None],
    ) -> None:
        self.job = job
        self.id = os.urandom(16).hex()
        self._machine = ThirdParty(self.id, job.transfers, options, contact=contact, grace=grace)
        # Replaced as a whole after each event, so any thread may look at it.
        self.progress: Progress = self._machine.progress()
        self._opener = opener
        self._on_final = on_final
        self._inbox: queue.SimpleQueue[tuple[Line | None, Report | int]] = queue.SimpleQueue()
        self._lines: dict[Side, Line] = {}
        self._old_lines: list[Line] = []
        self._began = time.monotonic()
        self._seconds = 0.0
        self._trace = ""
        self._bugs: tuple[Problem, ...] = ()

    def stop(self) -> None:
        """Ask the job to stop; any thread may."""
        self._inbox.put((None, None))

    def set_rate(self, rate: int) -> None:
        """Ask the job to go on at so many bytes per second, 0: as fast as it may; any thread may."""
        self._inbox.put((None, rate))

    @property
    def rate(self) -> int | None:
        """The limit that holds, in bytes per second, as the destination says it; 0: none, None: it is not known."""
        return self._machine.agenda.rates.kept

    def run(self) -> None:
        """Drive the job to its end."""
        self._began = time.monotonic()
        commands = self._machine.start(self._began)
        try:
            while True:
                for command in commands:
                    self._perform(command)
                self.progress = self._machine.progress()
                if self._machine.is_ended:
                    break
                commands = self._wait()
        finally:
            self._seconds = time.monotonic() - self._began
            for line in (*self._lines.values(), *self._old_lines):
                line.give_up()
            for line in (*self._lines.values(), *self._old_lines):
                line.join(_LINE_JOIN_S)

    def run_guarded(self) -> None:
        """Drive the job to its end; a bug of ours fails those of its files that are not final."""
        try:
            self.run()
        except Exception as exc:  # noqa: BLE001  # a thread's boundary: the result has the traceback
            self._trace = "".join(traceback.format_exception(exc))
            bug = InternalError(f"{type(exc).__name__}: {exc}").problem(Side.CLIENT, Phase.TRANSFER)
            self._bugs = (bug,)
            if outcomes := self._machine.ledger.finalize(bug, bug):
                self._on_final(self.job, outcomes)

    def result(self) -> JobResult:
        """Say what became of the job; before its end that is what is known by then."""
        machine = self._machine
        return JobResult(
            self.job,
            self.id,
            machine.ledger.outcomes.copy(),
            machine.problems + self._bugs,
            self.progress,
            machine.kept,
            {step: at - self._began for step, at in machine.times.items()},
            self._seconds,
            self._trace,
        )

    def _wait(self) -> list[Command]:
        machine = self._machine
        now = time.monotonic()
        try:
            line, report = self._inbox.get(timeout=min(max(0.0, machine.wake_at(now) - now), MAX_WAIT_S))
        except queue.Empty:
            return machine.tick(time.monotonic())
        now = time.monotonic()
        if line is None and isinstance(report, int):
            machine.agenda.rates.want(report)
            return machine.tick(now)
        if line is None:
            return machine.stop(now)
        if self._lines.get(line.side) is not line:
            return []  # a connection that was given up says its last word
        match report:
            case Opened():
                return machine.opened(line.side, now)
            case NotOpened(problem):
                return machine.not_opened(line.side, problem, now)
            case Answered(reply):
                return machine.replied(line.side, reply, now)
            case Refused(problem):
                return machine.refused(line.side, problem, now)
            case Failed(problem):
                return machine.lost(line.side, problem, now)
        return []

    def _perform(self, command: Command) -> None:
        match command:
            case Open(side, deadline):
                self._drop(side)
                address = self.job.source if side is Side.SOURCE else self.job.destination
                self._lines[side] = Line(side, address, self._opener, deadline, self._inbox.put)
                self._lines[side].start()
            case Call(side, request, timeout):
                self._lines[side].ask(request, timeout)
            case Close(side):
                self._drop(side)
            case Told(outcomes):
                self._on_final(self.job, outcomes)

    def _drop(self, side: Side) -> None:
        if (line := self._lines.pop(side, None)) is not None:
            line.give_up()
            self._old_lines.append(line)


class Runner:
    """All jobs of one run."""

    def __init__(
        self,
        jobs: Sequence[Job],
        options: Options,
        opener: Opener,
        *,
        contact: float,
        grace: float = GRACE_S,
        on_final: Callable[[Job, Sequence[Outcome]], None] = lambda _job, _outcomes: None,
    ) -> None:
        """`on_final` is called from the jobs' threads, as soon as files have reached their end."""
        self.jobs = tuple(
            RunningJob(job, options, opener, contact=contact, grace=grace, on_final=on_final) for job in jobs
        )
        self._ended: queue.SimpleQueue[RunningJob] = queue.SimpleQueue()

    def run(self, should_stop: Callable[[], bool], on_look: Callable[[], None] = lambda: None) -> list[JobResult]:
        """Run all jobs and return their results in order; `on_look` is called several times a second meanwhile."""
        waiting = list(self.jobs)
        running: set[RunningJob] = set()
        give_up_at: float | None = None
        while waiting or running:
            while waiting and len(running) < MAX_JOBS_AT_ONCE:
                running.add(self._start(waiting.pop(0)))
            self._collect(running)
            if give_up_at is None and should_stop():
                give_up_at = time.monotonic() + STOP_WITHIN_S
                waiting.clear()
                for job in running:
                    job.stop()
            if give_up_at is not None and time.monotonic() > give_up_at:
                break
            on_look()
        return [job.result() for job in self.jobs]

    def _start(self, job: RunningJob) -> RunningJob:
        def run() -> None:
            try:
                job.run_guarded()
            finally:
                self._ended.put(job)

        # A daemon thread: whatever it hangs in, the program ends in time after a signal.
        threading.Thread(target=run, name=f"job-{job.id[:8]}", daemon=True).start()
        return job

    def _collect(self, running: set[RunningJob]) -> None:
        """Wait for a job to end, or for the next look."""
        try:
            running.discard(self._ended.get(timeout=LOOK_EVERY_S))
        except queue.Empty:
            return
