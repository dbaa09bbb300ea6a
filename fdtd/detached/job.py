"""One detached job while it runs: a thread that drives it to its end, and what can be seen of it meanwhile.

Decides that a job ends exactly once: every file has an outcome in the store, then the job has its end there, and the
delegated proxy is gone before either.  How files are moved is the runner's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from authsvc.identity import Identity
from fdtcp.detached import MAX_KEPT_BYTES, Part, Step
from fdtcp.errors import InternalError, Phase, Problem, Side
from fdtcp.lines import Opener
from fdtcp.model.job import Job
from fdtcp.model.options import Options
from fdtcp.model.order import KeptPartial, Outcome, State
from fdtcp.runner import Runner, RunningJob
from fdtd.detached.loan import Loan
from fdtd.detached.store import DetachedStore
from fdtd.errors import StateFailed
from fdtd.site.memory import Share

_log: Final = logging.getLogger("fdtd.detached")

# A full disk under the state directory: outcomes wait in memory until there is room, or until the daemon leaves.
SAVE_AGAIN_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose job it is, and as whom its files are written."""

    identity: Identity
    account: str

    @property
    def dn(self) -> str:
        """The name by which the owner is known."""
        return self.identity.dn


class DetachedJob:
    """A running job; public methods are safe to use from all threads."""

    def __init__(
        self, owner: Owner, name: str, jobs: Sequence[Job], store: DetachedStore, loan: Loan, share: Share
    ) -> None:
        self.owner = owner
        self.name = name
        self.files = sum(len(job.transfers) for job in jobs)
        self._jobs = tuple(jobs)
        self._store = store
        self.loan = loan
        self._share = share
        self._runner: Runner | None = None
        self._number = 0
        self._began = time.monotonic()
        self._cond = threading.Condition()
        self._final = 0
        self._why: Problem | None = None
        self._is_cancelled = False
        self._is_ended = False
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"detached-{name[:8]}", daemon=True)

    def prepare(self, options: Options, opener: Opener, contact: float) -> tuple[Part, ...]:
        """Make the machines, so that the parts have names; nothing is connected yet."""
        self._runner = Runner(self._jobs, options, opener, contact=contact, on_final=self._note_final)
        return self.parts()

    def start(self, number: int) -> None:
        """Run as the store's job `number`."""
        self._number = number
        self._thread.start()

    def change_rate(self, rate: int) -> None:
        """Let each of its parts go on at another rate."""
        for job in self._running:
            job.set_rate(rate)

    def stop(self, why: Problem, *, is_cancelled: bool = False) -> None:
        """Stop; what is not final then fails with this problem.  The first reason counts."""
        with self._cond:
            if self._why is None:
                self._why, self._is_cancelled = why, is_cancelled

    def leave(self, why: Problem) -> None:
        """Stop because the daemon leaves, and do not wait for a disk."""
        self._leaving.set()
        self.stop(why)

    def wait_news(self, final: int, deadline: float) -> None:
        """Wait until more than `final` files are, the job has ended, or the deadline (monotonic) passes."""
        with self._cond:
            self._cond.wait_for(lambda: self._final > final or self._is_ended, max(0.0, deadline - time.monotonic()))

    def wait_ended(self, timeout: float) -> bool:
        """Wait until the thread has ended; say whether it has."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def is_ended(self) -> bool:
        """Whether the store has the end."""
        return self._is_ended

    @property
    def seconds(self) -> float:
        """For how long it has been running."""
        return time.monotonic() - self._began

    def parts(self) -> tuple[Part, ...]:
        """Say how far it is."""
        return tuple(_show(job, self.seconds) for job in self._running)

    @property
    def _running(self) -> tuple[RunningJob, ...]:
        return () if self._runner is None else self._runner.jobs

    def _run(self) -> None:
        assert self._runner is not None, "it was prepared"
        try:
            self._runner.run(lambda: self._why is not None)
        except Exception:  # noqa: BLE001  # a thread's boundary: the job must end all the same
            _log.exception("event=detached-failed job=%s", self.name)
        self.loan.end()
        seconds = self.seconds
        try:
            while not self._save(seconds) and not self._leaving.wait(SAVE_AGAIN_S):
                pass
        except Exception:  # noqa: BLE001  # as above; the next start of the daemon ends it in the store
            _log.exception("event=detached-unsaved job=%s", self.name)
        self._share.give_back()
        with self._cond:
            self._is_ended = True
            self._cond.notify_all()

    def _save(self, seconds: float) -> bool:
        """Write down what is not yet; say whether that could be done."""
        results = [job.result() for job in self._running]
        known = {
            result.job.positions[index]: outcome for result in results for index, outcome in result.outcomes.items()
        }
        lost = InternalError("the job ended without a word about this file").problem(Side.DESTINATION, Phase.TRANSFER)
        why = self._why or lost
        try:
            left = self._store.without_end(self._number)
            failed = Outcome(0, State.FAILED, 0, problem=why)
            self._store.record(
                self._number, [replace(known.get(position, failed), index=position) for position in left]
            )
            parts = [_show_end(job) for job in self._running]
            self._store.end(self._number, parts, time.time(), seconds, cancelled=self._is_cancelled)
        except StateFailed as exc:
            _log.error("event=state-failed job=%s reason=%r", self.name, exc.reason)
            return False
        for result in results:
            if result.trace:
                _log.error("event=detached-bug job=%s trace=%s", self.name, result.trace)
        _log.info("event=detached-ended job=%s dn=%r seconds=%.1f", self.name, self.owner.dn, seconds)
        return True

    def _note_final(self, job: Job, outcomes: Sequence[Outcome]) -> None:
        moved = [replace(outcome, index=job.positions[outcome.index]) for outcome in outcomes]
        try:
            self._store.record(self._number, moved)
        except StateFailed as exc:
            # They are in memory, and written down with the end.
            _log.error("event=state-failed job=%s reason=%r", self.name, exc.reason)
            return
        with self._cond:
            self._final += len(moved)
            self._cond.notify_all()


def _show(job: RunningJob, seconds: float) -> Part:
    now = job.progress
    counts = now.done, now.skipped, now.failed, now.total, now.moved
    return Part(job.id, now.stage.value, *counts, seconds, now.streams, rate=job.rate)


def _show_end(job: RunningJob) -> Part:
    result = job.result()
    return replace(
        _show(job, result.seconds),
        problems=result.problems,
        kept=tuple(_cut_kept(result.kept)),
        steps=tuple(Step(name, at) for name, at in result.times.items()),
    )


def _cut_kept(kept: Sequence[KeptPartial]) -> list[KeptPartial]:
    size, fitting = 0, []
    for one in kept:
        size += len(one.path)
        if size > MAX_KEPT_BYTES:
            break
        fitting.append(one)
    return fitting
