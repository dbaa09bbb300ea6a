"""The third party: how one job is driven through its two daemons.  Pure: replies and `now` in, commands out.

Decides what a lost connection, a refusal or a dead mover means for its end, and that both daemons are told when the job
has ended.  It leaves the order of the calls to `fdtcp.agenda`, the files to `fdtcp.model.ledger`, what both ends
together mean for the job to `fdtcp.judging`, and to `fdtcp.runner` sockets, threads and clocks.

The dialogue of a job without trouble:

    source:       describe(1)                        connect  release(1)  describe(2) ... release(last)  watch ...
    destination:  expect()  expect(1)  listen           expect(2) ...  expect(last)  watch ...

Each end has one call under way at a time, and the machine chooses the next one whenever an end is free.  The first
`expect` is empty: it makes the destination start its writer while the source starts its reader.  When both movers
have ended, `finish` lets the daemons forget the job.

All calls are idempotent, so a call whose connection broke is made again on the next connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fdtcp import contract
from fdtcp.agenda import GLANCE_EVERY_S, Agenda
from fdtcp.contract import Abort, Done, Finish, Reply, Request, SetRate, SourceGone, Watch, WatchReply
from fdtcp.ends import Call, Close, Command, End, Link, Open, Told
from fdtcp.errors import Abandoned, DaemonLost, InternalError, MoverDied, Phase, Problem, ProtocolViolation, Side
from fdtcp.judging import cause_of, is_good, judge, patience_for
from fdtcp.model.options import Options
from fdtcp.model.order import KeptPartial, Outcome, State, StreamProgress
from fdtcp.model.transfer import Transfer
from fdtcp.stages import MOVES, Event, Stage
from fdtcp.value import dataclass

# How long a daemon may be gone before its part of the job counts as lost: what fdtd waits for a lost client by default.
GRACE_S: Final = 30.0
# What a stopped job may take, so that fdtcp is gone within the 7 s that a PhEDEx-like caller gives it.
STOP_S: Final = 4.0
CLOSE_S: Final = 1.5
# A daemon that answers `watch` at once without news must not keep both programs busy.
WATCH_GAP_S: Final = 0.05
RECONNECT_EVERY_S: Final = 1.0
# What a daemon says that was started anew meanwhile.
UNKNOWN_SESSION: Final = "unknown-session"
# Looking at 1,000 files may mean waking up a tape robot's disk cache; a watch takes its second.
CALL_TIMEOUT_S: Final = 60.0
WATCH_TIMEOUT_S: Final = 15.0
URGENT_TIMEOUT_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is; sizes in bytes, `total` grows while the source is still being looked at."""

    stage: Stage
    files: int
    done: int
    skipped: int
    failed: int
    total: int
    moved: int
    streams: tuple[StreamProgress, ...]


class ThirdParty:
    """The machine of one job.  Each method takes an event and `now` (monotonic) and returns what is to be done."""

    def __init__(
        self, job: str, transfers: Sequence[Transfer], options: Options, *, contact: float, grace: float = GRACE_S
    ) -> None:
        """`contact` is how many seconds a daemon has to let us in, `grace` for how long it may be gone later."""
        self.job = job
        self.stage = Stage.MOVING
        self.is_stopped = False
        self.agenda = Agenda(job, transfers, options)
        self.ledger = self.agenda.ledger
        self.ends = {side: End(side) for side in (Side.SOURCE, Side.DESTINATION)}
        # When each step was first taken: what a user looks at who asks where the time went.
        self.times: dict[str, float] = {}
        self._contact = contact
        self._grace = grace
        self._deadline = float("inf")
        self._commands: list[Command] = []

    # --- what happens ---

    def start(self, now: float) -> list[Command]:
        """Open both ends."""
        self._mark("begun", now)
        return [Open(side, now + self._contact) for side in self.ends]

    def opened(self, side: Side, now: float) -> list[Command]:
        """Note that the daemon has let us in."""
        end = self.ends[side]
        end.link, end.was_opened = Link.IDLE, True
        self._mark(f"{side} opened", now)
        return self._go_on(now)

    def not_opened(self, side: Side, problem: Problem, now: float) -> list[Command]:
        """Note that the daemon could not be reached or does not let us in."""
        end = self.ends[side]
        if end.was_opened:
            return self.lost(side, problem, now)
        end.fail(problem)
        end.give_up()
        return self._go_on(now)

    def lost(self, side: Side, problem: Problem, now: float) -> list[Command]:
        """Note that the connection broke; try again until the grace is over."""
        end = self.ends[side]
        since = end.lost_since
        if self.stage is Stage.CLOSING or end.is_over:
            end.give_up()
        elif since is not None and now - since >= self._grace:
            gone = f"the {side}'s daemon has been gone for {now - since:.0f} s: {problem.reason}"
            end.fail(DaemonLost(gone).problem(side, Phase.TRANSFER))
            end.give_up()
        else:
            end.link = Link.BROKEN
            end.lost_since = now if since is None else since
            end.reopen_at = now if since is None else now + RECONNECT_EVERY_S
        return self._go_on(now)

    def replied(self, side: Side, reply: Reply, now: float) -> list[Command]:
        """Take the answer to the call that is under way at that end."""
        end = self.ends[side]
        request, end.request = end.request, None
        end.link, end.lost_since = Link.IDLE, None
        try:
            self._take(end, request, reply, now)
        except ProtocolViolation as exc:
            end.fail(exc.problem(side, Phase.TRANSFER))
        return self._go_on(now)

    def refused(self, side: Side, problem: Problem, now: float) -> list[Command]:
        """Take a problem as the answer to the call that is under way at that end."""
        end = self.ends[side]
        request, end.request = end.request, None
        end.link, end.lost_since = Link.IDLE, None
        if isinstance(request, Finish):
            end.is_finished = True
        elif isinstance(request, Abort):
            end.is_aborted = end.is_over = True
        elif isinstance(request, SetRate):
            self.agenda.rates.told(end.side, request.rate)  # the job goes on as it was
        elif problem.code == UNKNOWN_SESSION:
            end.fail(DaemonLost(f"the {side}'s daemon no longer knows the job").problem(side, Phase.TRANSFER))
        elif not isinstance(request, SourceGone):  # that one is only there to be quicker
            end.fail(problem)
        return self._go_on(now)

    def stop(self, now: float) -> list[Command]:
        """Stop the job because the user wants it; files that are not final stay without an outcome."""
        self.is_stopped = True
        self._move(Event.STOP, now)
        return self._go_on(now)

    def tick(self, now: float) -> list[Command]:
        """Note that time has passed."""
        return self._go_on(now)

    # --- what can be asked ---

    @property
    def is_ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.stage is Stage.ENDED

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the ends as a whole."""
        return tuple(end.problem for end in self.ends.values() if end.problem is not None)

    @property
    def kept(self) -> tuple[KeptPartial, ...]:
        """The partials that stay at the destination."""
        return self.ends[Side.DESTINATION].kept

    def progress(self) -> Progress:
        """Say how far the job is."""
        counts = self.ledger.counts
        source, destination = self.ends.values()
        return Progress(
            self.stage,
            self.ledger.files,
            counts[State.DONE],
            counts[State.SKIPPED],
            counts[State.FAILED],
            self.ledger.total_bytes,
            destination.moved,
            destination.streams or source.streams,
        )

    def wake_at(self, now: float) -> float:
        """Return when `tick` is needed at the latest."""
        glances = [
            end.watched_at if end.watched_at > now else end.watched_at + GLANCE_EVERY_S
            for end in self.ends.values()
            if end.link is Link.IDLE and not end.is_over
        ]
        reopenings = [end.reopen_at for end in self.ends.values() if end.link is Link.BROKEN]
        # Where somebody is awaited beyond the deadline, what ends that is an event of its own.
        is_past = now >= self._deadline and self._judge(now) is None
        return min([float("inf") if is_past else self._deadline, *glances, *reopenings])

    # --- what answers mean ---

    def _take(self, end: End, request: Request | None, reply: Reply, now: float) -> None:
        match request, reply:
            case Watch(), WatchReply():
                self.agenda.rates.note(end.side, reply.rate)
                self._take_news(end, request, reply, now)
            case Finish(), Done():
                end.is_finished = True
            case Abort(), Done():
                end.is_aborted = True
                # Of a reader nothing more is wanted; a writer's last outcomes are.
                end.is_over = end.is_over or end.side is Side.SOURCE
            case _:
                step, outcomes = self.agenda.take(request, reply)
                self._mark(step, now)
                self._tell(outcomes, now)

    def _take_news(self, end: End, request: Watch, reply: WatchReply, now: float) -> None:
        if reply.cursor != request.cursor + len(reply.outcomes):
            news = f"{len(reply.outcomes)} outcomes after {request.cursor}"
            raise ProtocolViolation(f"{news} do not end at {reply.cursor}")
        has_news = bool(reply.outcomes) or reply.moved != end.moved or reply.ended
        # Without news the next look waits a little if this one did not.
        end.watched_at = now if has_news or now - end.asked_at >= WATCH_GAP_S else now + WATCH_GAP_S
        end.cursor, end.moved, end.streams = reply.cursor, reply.moved, reply.streams
        if end.side is Side.DESTINATION:
            self._tell(self.ledger.note_outcomes(reply.outcomes), now)
        if reply.ended and len(reply.outcomes) < contract.MAX_CHUNK:
            end.is_over = end.has_ended = True
            end.kept = reply.kept
            is_our_doing = end.is_aborted and reply.problem is not None and reply.problem.code == Abandoned.code
            if reply.problem is not None and not is_our_doing:
                end.fail(reply.problem.on(end.side))
            elif end.side is Side.SOURCE and self.stage is Stage.MOVING and not self.ledger.is_released:
                died = MoverDied("the reader ended before it was told of all files")
                end.fail(died.problem(end.side, Phase.TRANSFER))
            self._mark(f"{end.side} ended", now)
        if has_news and self.stage is Stage.SETTLING and end.side is Side.DESTINATION:
            self._deadline = now + patience_for(self.ends, self.agenda)

    def _tell(self, outcomes: Sequence[Outcome], now: float) -> None:
        if outcomes:
            self._mark("first final", now)
            self.times["last final"] = now
            self._commands.append(Told(outcomes))

    # --- what is asked ---

    def _ask(self, end: End, now: float) -> None:
        request = self._choose(end, now)
        if request is None:
            return
        timeout = CALL_TIMEOUT_S
        if isinstance(request, Watch):
            timeout = WATCH_TIMEOUT_S
        elif isinstance(request, Abort | Finish):
            timeout = URGENT_TIMEOUT_S
        end.request, end.link, end.asked_at, end.has_session = request, Link.BUSY, now, True
        self._commands.append(Call(end.side, request, timeout))

    def _choose(self, end: End, now: float) -> Request | None:
        if end.request is not None:
            return end.request  # its answer was lost
        match self.stage:
            case Stage.MOVING if not end.is_over:
                return self.agenda.next_call(end, now)
            case Stage.SETTLING if not end.is_over and end.has_session and now >= end.watched_at:
                return self.agenda.last_call(end, self.ends[Side.SOURCE])
            case Stage.ABORTING if end.has_session and not end.is_over:
                if not end.is_aborted:
                    return Abort(self.job, discard=False, side=end.side)
                return self.agenda.watch(end, contract.MAX_WATCH_S)
            case Stage.CLOSING if not end.is_finished:
                is_about_to_end = is_good(self.ends, self.agenda) and self.ledger.is_released
                if not (end.has_ended or end.is_aborted or is_about_to_end):
                    return Abort(self.job, discard=False, side=end.side)
                return Finish(self.job, end.side)
            case Stage.CLOSING:
                end.link = Link.CLOSED
                self._commands.append(Close(end.side))
        return None

    # --- where the job stands ---

    def _go_on(self, now: float) -> list[Command]:
        while (event := self._judge(now)) is not None:
            self._move(event, now)
        for end in self.ends.values():
            if end.link is Link.BROKEN and now >= end.reopen_at and not end.is_over:
                end.link = Link.OPENING
                self._commands.append(Open(end.side, now + self._contact))
            elif end.link is Link.IDLE:
                self._ask(end, now)
        # Closing an idle end may have been the last step.
        if self.stage is Stage.CLOSING and self._judge(now) is not None:
            self._move(Event.BOTH_OVER, now)
        commands, self._commands = self._commands, []
        return commands

    def _judge(self, now: float) -> Event | None:
        return judge(self.stage, self.ends, self.agenda, is_late=now >= self._deadline)

    def _move(self, event: Event, now: float) -> None:
        target = MOVES.get((self.stage, event))
        if target is None:
            raise InternalError(f"a job that is {self.stage} cannot meet {event}")
        if target is self.stage:
            return
        self.stage = target
        self._mark(str(target), now)
        match target:
            case Stage.SETTLING:
                self._deadline = now + patience_for(self.ends, self.agenda)
            case Stage.ABORTING:
                self._deadline = now + STOP_S
                self._interrupt(now)
            case Stage.CLOSING:
                self._deadline = now + CLOSE_S
                if not self.is_stopped:
                    self._tell(self.ledger.finalize(*cause_of(self.ends)), now)
                self._interrupt(now)
            case Stage.ENDED:
                self._deadline = float("inf")
                self._commands += [Close(end.side) for end in self.ends.values() if end.link is not Link.CLOSED]

    def _interrupt(self, now: float) -> None:
        """Make the ends free for `abort` and `finish`, which do not wait for a call that may take a minute."""
        for end in self.ends.values():
            if not end.has_session and end.link is not Link.CLOSED:
                self._commands.append(Close(end.side))
                end.give_up()
            elif end.link in (Link.BROKEN, Link.OPENING):
                end.request = None
            elif end.link is Link.BUSY and not isinstance(end.request, Watch | Abort | Finish):
                end.request, end.link = None, Link.OPENING
                self._commands.append(Open(end.side, now + URGENT_TIMEOUT_S))

    def _mark(self, step: str, now: float) -> None:
        self.times.setdefault(step, now)
