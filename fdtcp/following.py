"""Following a detached job: what its daemon tells, in the shape in which a run of our own would be seen.

Decides how a job is read from its first outcome on, whoever submitted it and whenever, and what a lost connection
means: nothing to the job.  A display or a report need not know whether it looks at a `Runner` or at this.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from fdtcp.detached import (
    Cancel,
    ChangeRate,
    Follow,
    FollowReply,
    Forget,
    Part,
    Recall,
    RecallReply,
    Reply,
    Request,
    Wanted,
)
from fdtcp.errors import BadPfn, DaemonLost, FdtError, ProtocolViolation, RemoteProblem, Side
from fdtcp.handover import ask
from fdtcp.lines import Channel, Opener
from fdtcp.model.job import Job, group
from fdtcp.model.order import Outcome
from fdtcp.model.pfn import Pfn
from fdtcp.model.ticket import Ticket
from fdtcp.model.transfer import Transfer
from fdtcp.result import Result, collect
from fdtcp.runner import JobResult
from fdtcp.stages import Stage
from fdtcp.thirdparty import Progress

# Often enough for a display; an answer comes earlier when files become final.
WAIT_S: Final = 0.5
CALL_TIMEOUT_S: Final = 15.0
# For how long the daemon may be gone before we say so and leave: as for any job.
GRACE_S: Final = 30.0
RECONNECT_EVERY_S: Final = 1.0
# What a job that was stopped takes at most; and a caller who has sent a signal gives us seven seconds.
CANCEL_WITHIN_S: Final = 6.0


class Watched:
    """One part of the job, as far as a display looks at it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.part = Part("", Stage.MOVING, 0, 0, 0, 0, 0, 0.0)
        self.outcomes: dict[int, Outcome] = {}

    @property
    def progress(self) -> Progress:
        """How far it is."""
        part = self.part
        try:
            stage = Stage(part.stage)
        except ValueError as exc:
            raise ProtocolViolation(f"a job is in the unknown stage {part.stage!r}") from exc
        files = len(self.job.transfers)
        return Progress(stage, files, part.done, part.skipped, part.failed, part.total, part.moved, part.streams)

    def result(self) -> JobResult:
        """Say what became of it."""
        times = {step.name: step.at for step in self.part.steps}
        return JobResult(
            self.job,
            self.part.id,
            dict(self.outcomes),
            self.part.problems,
            self.progress,
            self.part.kept,
            times,
            self.part.seconds,
        )


class Following:
    """A detached job, looked at from afar.  Used by one thread."""

    def __init__(
        self,
        ticket: Ticket,
        opener: Opener,
        *,
        contact: float,
        on_final: Callable[[Sequence[Transfer], Sequence[Outcome]], None] = lambda _transfers, _outcomes: None,
    ) -> None:
        """`on_final` hears of outcomes once, as soon as they are known; their index counts all files of the job."""
        self.ticket = ticket
        self.transfers: tuple[Transfer, ...] = ()
        self.jobs: tuple[Watched, ...] = ()
        self.outcomes: dict[int, Outcome] = {}
        self.news: FollowReply | None = None
        self._opener = opener
        self._contact = contact
        self._on_final = on_final
        self._channel: Channel | None = None
        self._should_stop: Callable[[], bool] = lambda: False
        self._places: dict[int, tuple[Watched, int]] = {}

    def recall(self, transfers: Sequence[Transfer] = ()) -> None:
        """Learn of which files the job consists; who has submitted it knows.  Raises FdtError."""
        known = list(transfers)
        while not transfers and (more := self._ask(Recall(self.ticket.job, len(known)))):
            assert isinstance(more, RecallReply), "decode_reply sees to that"
            if not more.files:
                break
            known += [_read(one) for one in more.files]
        self.transfers = tuple(known)
        self.jobs = tuple(Watched(job) for job in group(self.transfers))
        self._places = {
            position: (watched, index) for watched in self.jobs for index, position in enumerate(watched.job.positions)
        }

    def look(self, wait: float = WAIT_S) -> FollowReply:
        """Ask once for news and take them.  Raises FdtError; DaemonLost when the daemon was gone for too long."""
        reply = self._ask(Follow(self.ticket.job, len(self.outcomes), wait))
        assert isinstance(reply, FollowReply), "decode_reply sees to that"
        self._take(reply)
        return reply

    def run(self, should_stop: Callable[[], bool], on_look: Callable[[], None] = lambda: None) -> bool:
        """Follow until the job has ended, and return True; or False as soon as `should_stop` says so."""
        self._should_stop = should_stop
        try:
            while not self.look().ended:
                on_look()
                if should_stop():
                    return False
        except DaemonLost:
            if should_stop():
                return False
            raise
        return True

    def change_rate(self, rate: int) -> None:
        """Let the job go on at so many bytes per second for each pair of daemons; 0: no limit."""
        self._ask(ChangeRate(self.ticket.job, rate))

    def cancel(self, on_look: Callable[[], None] = lambda: None) -> bool:
        """Stop the job and follow it to its end; False if it does not end in time."""
        self._ask(Cancel(self.ticket.job))
        deadline = time.monotonic() + CANCEL_WITHIN_S
        return self.run(lambda: time.monotonic() > deadline, on_look)

    def forget(self) -> None:
        """Let the daemon forget a job that has ended, after its end was written down here."""
        self._ask(Forget(self.ticket.job))

    def result(self, *, is_stopped: bool) -> Result:
        """Say what is known by now."""
        parts = [watched.result() for watched in self.jobs]
        began, seconds = (self.news.began, self.news.seconds) if self.news is not None else (0.0, 0.0)
        return collect(self.transfers, parts, began=began, seconds=seconds, is_stopped=is_stopped)

    def close(self) -> None:
        """Leave; the job goes on."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _take(self, reply: FollowReply) -> None:
        if reply.cursor != len(self.outcomes) + len(reply.outcomes):
            raise ProtocolViolation(f"{len(reply.outcomes)} outcomes do not end at {reply.cursor}")
        for outcome in reply.outcomes:
            if outcome.index in self.outcomes:
                raise ProtocolViolation(f"file {outcome.index} has ended twice")
            self.outcomes[outcome.index] = outcome
            if self.transfers:
                place = self._places.get(outcome.index)
                if place is None:
                    raise ProtocolViolation(f"the job has no file {outcome.index}")
                watched, index = place
                watched.outcomes[index] = replace(outcome, index=index)
        for watched, part in zip(self.jobs, reply.parts, strict=False):
            watched.part = part
        self.news = reply
        if self.transfers and reply.outcomes:
            self._on_final(self.transfers, reply.outcomes)

    def _ask(self, request: Request) -> Reply:
        """Make a call, on a new connection if need be: all of them may be repeated."""
        give_up_at = time.monotonic() + GRACE_S
        while True:
            try:
                if self._channel is None:
                    self._channel = self._open()
                return ask(self._channel, request, CALL_TIMEOUT_S)
            except (RemoteProblem, ProtocolViolation):
                raise
            except FdtError as exc:
                self.close()
                # Before there was any news the daemon may never have been there: say so at once.
                if not exc.retryable or self.news is None:
                    raise
                if time.monotonic() > give_up_at or self._should_stop():
                    raise DaemonLost(
                        f"{self.ticket.address} does not answer any more: {exc.reason}",
                        remedy=f"the job may go on without us; later say: fdtcp attach {self.ticket}",
                    ) from exc
                time.sleep(RECONNECT_EVERY_S)

    def _open(self) -> Channel:
        return self._opener(Side.DESTINATION, self.ticket.address, time.monotonic() + self._contact)


def _read(one: Wanted) -> Transfer:
    try:
        return Transfer(Pfn.parse(one.source), Pfn.parse(one.destination), one.literal)
    except BadPfn as exc:
        raise ProtocolViolation(f"the daemon names a file that is none: {exc.reason}") from exc
