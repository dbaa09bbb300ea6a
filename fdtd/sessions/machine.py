"""One session: one end of a job, from the first call to the last outcome.

Decides what is legal when, what becomes of a client's call or a mover's message, when a lost client's transfer is
stopped, and how a mover that will not go is made to.  Pure: calls, messages and `now` (monotonic seconds) go in,
commands come out; `fdtd.live.session` performs them.  The files themselves are in `fdtd.sessions.book`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from fdtcp.errors import Abandoned, MoverDied, Phase, Problem, ProtocolViolation, Side, one_line
from fdtcp.model import order
from fdtcp.model.order import DestinationFile, Endpoint, Found, KeptPartial, StreamProgress
from fdtd.errors import SessionOver
from fdtd.sessions.book import DestinationBook, SourceBook, without
from fdtd.sessions.commands import (
    Command,
    Complain,
    CutLifeLine,
    GiveUp,
    Kill,
    Lease,
    Record,
    RecordEnd,
    RecordKept,
    Send,
    StartSweep,
    Terminate,
)
from fdtd.sessions.patience import GIVE_UP_S, HURRY, Patience
from fdtd.sessions.states import MOVES, WORKING, Event, SessionState
from fdtd.sessions.throttle import Throttle
from fdtd.site.paths import partial_path

# What a mover may say about its streams: more than [limits] would ever allow.
MAX_STREAMS_SHOWN: Final = 64
MAX_ADDRESS_CHARS: Final = 64
# Each oddity of a mover is a line in the daemon's log; more of them than this are an attack on its disk.
MAX_ODDITIES: Final = 100


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Whose job, and which end: another owner's session of the same UUID is another session."""

    dn: str
    account: str
    job: str
    side: Side


@dataclass
class Session:
    """The one owner of a session's changing facts.  Methods return the commands to be performed, in order."""

    key: SessionKey
    policy: order.Policy
    addresses: tuple[str, ...]
    patience: Patience
    opened: float
    state: SessionState = SessionState.OPEN
    source: SourceBook = field(default_factory=SourceBook)
    destination: DestinationBook = field(default_factory=DestinationBook)
    endpoints: tuple[Endpoint, ...] = ()
    secret: bytes = field(default=b"", repr=False)
    fingerprint: bytes = b""  # of the certificate that our mover shows; empty: its streams are not encrypted
    moved: int = 0
    streams: tuple[StreamProgress, ...] = ()
    problem: Problem | None = None
    # Grows with each change that a watching client could see.
    news: int = 0

    def __post_init__(self) -> None:
        self.last_call = self.opened
        self._calls = 0
        self._seq = 0
        self.discard = not self.policy.keep_partials
        self.throttle = Throttle(self.policy.rate_limit)
        self._listen: order.Listen | None = None
        self._ladder: list[tuple[float, Command]] = []
        self._kept: dict[bytes, KeptPartial] = {}
        self._said_ended = False
        self._oddities = 0

    # the client's calls, and the host's

    def slow_down(self, throttle: Throttle) -> list[Command]:
        """Let the mover keep to another rate from now on, a lower one or a higher one."""
        before, self.throttle = self.throttle, throttle
        if before.rate == throttle.rate or self.state not in WORKING:
            return []
        self.news += 1
        return [Send(order.SetRate(throttle.rate))]

    def call_begins(self, now: float) -> None:
        """Note that the client is there; a call that waits counts as long as it lasts."""
        self._calls += 1
        self.last_call = now

    def call_ends(self, now: float) -> None:
        """Note that the call has been answered."""
        self._calls -= 1
        self.last_call = now

    @property
    def kept(self) -> tuple[KeptPartial, ...]:
        """Return the partials that were left for a later attempt."""
        return tuple(self._kept.values())

    def silence(self, now: float) -> float:
        """Return for how many seconds the client has not been heard of."""
        return 0.0 if self._calls else now - self.last_call

    def describe(self, files: Sequence[order.SourceFile], refused: Mapping[int, Problem]) -> list[Command]:
        """Ask the reader about those files that are new; `refused` are answered by us."""
        new = self.source.ask(files)
        asked = without(new, refused)
        if len(asked) < len(new):
            self.source.answer(Found(f.index, 0, 0, 0, refused[f.index]) for f in new if f.index in refused)
        if not asked:
            return []
        self._require_working()
        self._seq += 1
        return [Send(order.Describe(self._seq, asked))]

    def expect(self, files: Sequence[DestinationFile], refused: Mapping[int, Problem], last: bool) -> list[Command]:
        """Tell the writer of those files that are new; `refused` become final at once."""
        book = self.destination
        new = book.unknown(files)
        if not new and (book.all_expected or not last):
            return []
        self._require_working()
        book.expect(new, last)
        position = len(book.outcomes)
        failed = book.refuse({index: refused[index] for index in new.numbers("index") if index in refused})
        self._seq += 1
        told = without(new, refused)
        commands: list[Command] = [Send(order.Expect(self._seq, told, last))]
        if failed:
            self.news += 1
            commands.append(Record(position, failed))
        return commands

    def listen(
        self,
        ports: tuple[int, ...],
        peers: tuple[str, ...],
        secret: bytes,
        credential: bytes = b"",
        fingerprint: bytes = b"",
    ) -> list[Command]:
        """Let the mover listen, once: the answer to a repeated call is in `endpoints`.  The credential is not kept."""
        if self._listen is not None:
            return []
        self._require_working()
        self.secret, self.fingerprint = secret, fingerprint
        self._listen = order.Listen(self.addresses, ports, secret, peers)
        self._move(Event.MOVE)
        return [Send(replace(self._listen, credential=credential))]

    @property
    def is_listening(self) -> bool:
        """Say whether the mover was told to listen."""
        return self._listen is not None

    def connect(self, endpoints: tuple[Endpoint, ...], secret: bytes, fingerprint: bytes = b"") -> list[Command]:
        """Let the mover open the streams; the secret is passed on and not kept."""
        if self.endpoints:
            if set(self.endpoints) != set(endpoints):
                raise ProtocolViolation("connect was called again with other endpoints")
            return []
        self._require_working()
        self.endpoints = endpoints
        self._move(Event.MOVE)
        return [Send(order.Connect(endpoints, self.addresses, secret, fingerprint))]

    def release(self, files: Sequence[order.ReleasedFile], last: bool) -> list[Command]:
        """Let the reader send those that are new."""
        was_last = self.source.all_released
        new = self.source.release(files, last)
        if not new and (was_last or not last):
            return []
        self._require_working()
        return [Send(order.Release(new, last))]

    def source_gone(self) -> list[Command]:
        """Tell the writer that nothing more will come; twice does no harm."""
        return [Send(order.SourceGone())] if self.state in WORKING and not self._said_ended else []

    def stop(self, discard: bool, why: Problem, now: float) -> list[Command]:
        """Stop the mover, patiently.  A second stop can only add that partials are to be discarded."""
        had = self.discard
        self.discard = had or discard
        if self.state is SessionState.ENDED or self.state is SessionState.SWEEPING:
            return []
        if self.state is SessionState.STOPPING and had == self.discard:
            return []
        self.problem = self.problem or why
        self._move(Event.STOP)
        if self._said_ended:
            return []
        self._climb(now, self.patience)
        return [Send(order.Stop(self.discard))]

    def hurry(self, why: Problem, now: float) -> list[Command]:
        """Stop the mover within the time that a leaving daemon has."""
        commands = self.stop(False, why, now)
        if self.state is SessionState.STOPPING:
            self._climb(now, HURRY)
        return commands

    def fail(self, why: Problem, now: float) -> list[Command]:
        """Kill a mover that cannot be talked to."""
        if self.state not in {*WORKING, SessionState.STOPPING}:
            return []
        self.problem = self.problem or why
        self._move(Event.STOP)
        self._ladder = [(now, Kill()), (now + GIVE_UP_S, GiveUp())]
        return self.tick(now)

    # the mover's messages

    def on_message(self, message: order.Message, now: float) -> list[Command]:
        """Take what the mover says.  Raises ProtocolViolation for what no mover of ours would say."""
        if self._said_ended:
            return self._complain(f"{type(message).__name__} after Ended")
        if self.state is SessionState.ENDED or self.state is SessionState.SWEEPING:
            return []
        self.news += 1
        match message:
            case order.Described(found=found) if self.key.side is Side.SOURCE:
                return self._complaints(self.source.answer(found))
            case order.Expected(verdicts=verdicts) if self.key.side is Side.DESTINATION:
                return self._complaints(self.destination.judge(verdicts))
            case order.Finals(outcomes=outcomes) if self.key.side is Side.DESTINATION:
                position = len(self.destination.outcomes)
                new, duplicates = self.destination.finish(outcomes)
                return [Record(position, new), *self._complaints(duplicates)]
            case order.Listening(endpoints=endpoints):
                return self._on_listening(endpoints)
            case order.Progress():
                self._on_progress(message, now)
                return []
            case order.Kept(partials=partials) if self.key.side is Side.DESTINATION:
                return self._on_kept(partials)
            case order.Ended(problem=problem):
                self._said_ended = True
                self.problem = self.problem or problem
                self._climb(now - self.patience.stop, self.patience)
                return [CutLifeLine()]
        raise ProtocolViolation(f"a {self.key.side} mover said {type(message).__name__}")

    def on_exit(self, how: str) -> list[Command]:
        """Take note that the process is gone: `how` in words ("signal 9")."""
        if self.state is SessionState.ENDED or self.state is SessionState.SWEEPING:
            return []
        self._ladder = []
        self.secret = b""
        if not self._said_ended and self.problem is None:
            program = "reader" if self.key.side is Side.SOURCE else "writer"
            self.problem = MoverDied(f"the {program} ended with {how}").problem(self.key.side, Phase.TRANSFER)
        left = self.destination.may_have_left(self._kept)
        if self.destination.waiting or (left and self.problem is not None):
            self._move(Event.LOST)
            return [StartSweep(left, self.discard)]
        self._move(Event.GONE)
        return self._end()

    def on_swept(self, partials: Iterable[KeptPartial]) -> list[Command]:
        """Take note that a sweeper has been there: what is left now is final."""
        commands = self._on_kept(tuple(partials))
        self._move(Event.SWEPT)
        return commands + self._end()

    # time

    def tick(self, now: float) -> list[Command]:
        """Return what is due: the next step of an ending, or the end of a lost client's transfer."""
        if self.state in WORKING and self.silence(now) > self.patience.client_grace and not self._said_ended:
            why = f"the client was not heard of for {self.patience.client_grace:g} s"
            return self.stop(False, Abandoned(why).problem(self.key.side, Phase.TRANSFER), now)
        due = [command for when, command in self._ladder if when <= now]
        self._ladder = [(when, command) for when, command in self._ladder if when > now]
        return due

    # inside

    def _move(self, event: Event) -> None:
        self.state = MOVES[self.state, event]
        self.news += 1

    def _require_working(self) -> None:
        if self.state not in WORKING or self._said_ended:
            raise SessionOver(f"the {self.key.side}'s transfer is over already", cause=self.problem)

    def _climb(self, now: float, patience: Patience) -> None:
        cut = now + patience.stop
        end = cut + patience.cut
        kill = end + patience.terminate
        self._ladder = [(cut, CutLifeLine()), (end, Terminate()), (kill, Kill()), (kill + GIVE_UP_S, GiveUp())]

    def _end(self) -> list[Command]:
        """Give every file that is left its outcome."""
        position = len(self.destination.outcomes)
        book = self.destination
        if book.all_expected and not book.waiting and not book.failed:
            # It was stopped, or died, when all had been done already.
            self.problem = None
        why = self.problem or MoverDied("the writer ended before this file was final").problem(
            self.key.side, Phase.TRANSFER
        )
        if not (left := book.abandon(why)):
            return [RecordEnd(self.problem)]
        self.problem = self.problem or why
        return [Record(position, left), RecordEnd(self.problem)]

    def _on_listening(self, endpoints: tuple[Endpoint, ...]) -> list[Command]:
        asked = self._listen
        if asked is None or not endpoints or self.endpoints:
            raise ProtocolViolation("the mover listens without being told")
        for endpoint in endpoints:
            if endpoint.address not in asked.addresses or endpoint.port not in asked.ports:
                raise ProtocolViolation(f"the mover listens at {endpoint.address[:64]!r} port {endpoint.port}")
        self.endpoints = endpoints
        return [Lease(endpoints)]

    def _on_progress(self, progress: order.Progress, now: float) -> None:
        if self.policy.unattended and progress.moved > self.moved:
            # Bytes that flow stand in for a client whose credential has ended.
            self.last_call = now
        # Never backwards: a mover that counts anew must not confuse who watches.
        self.moved = max(self.moved, progress.moved)
        self.streams = tuple(
            replace(
                stream,
                local=one_line(stream.local)[:MAX_ADDRESS_CHARS],
                remote=one_line(stream.remote)[:MAX_ADDRESS_CHARS],
                cipher=one_line(stream.cipher)[:MAX_ADDRESS_CHARS],
            )
            for stream in progress.streams[:MAX_STREAMS_SHOWN]
        )

    def _on_kept(self, partials: Sequence[KeptPartial]) -> list[Command]:
        if not partials:
            return []
        left = self.destination.waiting_paths() + self.destination.failed
        mine = {partial_path(path): path for path in left}
        kept = tuple((mine[partial.path], partial) for partial in partials if partial.path in mine)
        # One for each name, however often a mover says it.
        self._kept |= {partial.path: partial for _, partial in kept}
        strange = len(partials) - len(kept)
        complaints = self._complain(f"{strange} kept partials that are not of this job") if strange else []
        return [RecordKept(kept), *complaints]

    def _complaints(self, duplicates: int) -> list[Command]:
        return self._complain(f"{duplicates} answers that had been given before") if duplicates else []

    def _complain(self, text: str) -> list[Command]:
        self._oddities += 1
        if self._oddities > MAX_ODDITIES:
            raise ProtocolViolation(f"the mover is odd too often, at last: {text}")
        return [Complain(text)]
