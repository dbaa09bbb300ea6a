"""A session that runs: the pure machine, its mover, and the calls that wait for both.

Performs what `fdtd.sessions` decides.  One condition per session guards the machine; calls wait on it with a deadline,
the mover's reading thread and the daemon's tick wake it.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, TypeVar

from fdtcp.contract import MAX_WATCH_S, ListenReply, WatchReply
from fdtcp.errors import Abandoned, FdtError, Phase, Problem, Side
from fdtcp.model.columns import Columns
from fdtcp.model.order import (
    DestinationFile,
    Endpoint,
    Found,
    KeptPartial,
    Message,
    Progress,
    ReleasedFile,
    Role,
    Setup,
    SourceFile,
    Verdict,
)
from fdtcp.model.policy import Encrypt
from fdtd.errors import MoverSlow, SessionOver, StateFailed
from fdtd.live import costs
from fdtd.live.ephemeral import Ephemeral, make_ephemeral
from fdtd.live.telling import facts_of, is_ended, news_of
from fdtd.live.tools import Tools, transfer_log
from fdtd.operation.monitoring import progress_record
from fdtd.processes.launcher import LAUNCH_TIMEOUT_S
from fdtd.processes.movers import RunningMover
from fdtd.sessions import commands as do
from fdtd.sessions.machine import Session
from fdtd.sessions.states import WORKING

_log: Final = logging.getLogger("fdtd.session")

# A thousand files on a parallel file system that is busy: ten seconds have been seen.  Comparing comes later.
ANSWER_TIMEOUT_S: Final = 60.0
# Binding a port is a matter of microseconds; a mover that is just being started needs 0.1 s.
LISTEN_TIMEOUT_S: Final = 15.0
# A client may finish a moment before its mover has closed its books.
FINISH_PATIENCE_S: Final = 5.0

T = TypeVar("T")


class LiveSession:
    """One session and its mover.  Public methods are safe to use from all threads."""

    def __init__(
        self,
        session: Session,
        number: int,
        prefixes: tuple[bytes, ...],
        tools: Tools,
        scopes: tuple[bytes, ...] | None = None,
    ) -> None:
        self.session = session
        self.key = session.key
        self.addresses = session.addresses
        self.number = number
        self.prefixes = prefixes
        # Of the token that it was opened with: who joins with a token that allows less would use this one's rights.
        self.scopes = scopes
        self.calls = 0
        self._tools = tools
        self._share = tools.memory.share(self.key.dn)
        self._cond = threading.Condition()
        self._mover: RunningMover | None = None
        self._started = False
        self._was_heard = False
        self._leased: tuple[Endpoint, ...] = ()
        self._finish_by: float | None = None

    def start(self) -> None:
        """Start the mover.  Raises MoverNotStarted or MemoryFull, and then the session is over."""
        role = Role.READER if self.key.side is Side.SOURCE else Role.WRITER
        path = transfer_log(self._tools.log_dir, self.key.job, role)
        try:
            self._share.grow(costs.SESSION_BYTES)
            process = self._tools.launcher.launch(self.key.account, path)
        except FdtError as exc:
            with self._cond:
                self._started = True
                self.session.problem = exc.problem(self.key.side, Phase.PREPARE)
                self._perform(self.session.on_exit("no start"))
            raise
        mover = RunningMover(process, self._on_message, self._on_garbage, self._on_exit)
        self._event("mover-started", f"pid={mover.pid} role={role} log={path}")
        # A reader follows symlinks below the prefixes, so it has to look at where they lead by itself; a writer follows
        # none, and the text of a path says where it leads.
        scopes = self.scopes if role is Role.READER else None
        with self._cond:
            policy = replace(self.session.policy, rate_limit=self.session.throttle.rate)
            mover.send(Setup(role, self.key.job, self.prefixes, policy, scopes, self._tools.storage))
            self._mover = mover
            self._started = True
            self._cond.notify_all()
        mover.start()

    # calls

    def describe(self, files: Sequence[SourceFile], refused: Mapping[int, Problem]) -> Sequence[Found]:
        """Return what the reader found."""
        with self._call(), self._share.held(costs.of_names(files, "path")):
            self._share.grow(costs.of_sources(self.session.source.unknown(files)))
            self._perform(self.session.describe(files, refused))
            return self._wait(lambda: self.session.source.answers(files), ANSWER_TIMEOUT_S, "the reader's answer")

    def expect(self, files: Sequence[DestinationFile], refused: Mapping[int, Problem], last: bool) -> Sequence[Verdict]:
        """Return what the writer says; the files are written down before it can touch one."""
        with self._call(), self._share.held(costs.of_names(files, "path", "source")):
            if self.session.state in WORKING:
                new = self.session.destination.unknown(files)
                self._share.grow(costs.of_destinations(new))
                self._tools.state.expect(self.number, new)
            self._perform(self.session.expect(files, refused, last))
            return self._wait(lambda: self.session.destination.answers(files), ANSWER_TIMEOUT_S, "the writer's answer")

    def listen(self, peers: tuple[str, ...], *, encrypt: bool = False) -> ListenReply:
        """Return where the mover listens, and the secret."""
        with self._call():
            if not self.session.is_listening:
                ports = self._tools.ports.candidates(self.session.addresses)
                made = make_ephemeral() if encrypt or self.encrypts else Ephemeral(b"", b"")
                new = secrets.token_bytes(32)
                self._perform(self.session.listen(ports, peers, new, made.credential, made.fingerprint))
            # Taken now: it is forgotten with the mover, which may end before we have looked again.
            secret = self.session.secret
            endpoints = self._wait(
                lambda: (self.session.endpoints if secret else ()) or None, LISTEN_TIMEOUT_S, "a listening mover"
            )
            return ListenReply(endpoints, secret, self.session.fingerprint)

    def connect(self, endpoints: tuple[Endpoint, ...], secret: bytes, fingerprint: bytes = b"") -> None:
        """Let the mover connect."""
        with self._call():
            self._perform(self.session.connect(endpoints, secret, fingerprint))

    @property
    def encrypts(self) -> bool:
        """Say whether the user or this site wants the streams encrypted, whatever the other end wants."""
        return self.session.policy.encrypt is Encrypt.YES

    def release(self, files: Sequence[ReleasedFile], last: bool) -> None:
        """Let the reader send."""
        with self._call():
            self._perform(self.session.release(files, last))

    def source_gone(self) -> None:
        """Let the writer end with what it has."""
        with self._call():
            self._perform(self.session.source_gone())

    def watch(self, cursor: int, wait: float) -> WatchReply:
        """Return news, within MAX_WATCH_S."""
        deadline = time.monotonic() + max(0.0, min(wait, MAX_WATCH_S))
        with self._call():
            seen = self.session.news
            outcomes = self.session.destination.outcomes
            while cursor >= len(outcomes) and seen == self.session.news and not self.is_ended:
                left = deadline - time.monotonic()
                if left <= 0 or not self._cond.wait(left):
                    break
            return news_of(self.session, cursor)

    def abort(self, discard: bool) -> None:
        """Stop; what an ended session left is removed by a sweeper if `discard`."""
        with self._call():
            if self.is_ended and discard:
                self._tools.state.discard(self.number)
            why = Abandoned("the transfer was stopped by its client").problem(self.key.side, Phase.TRANSFER)
            self._perform(self.session.stop(discard, why, time.monotonic()))

    def set_limit(self, limit: int) -> None:
        """Let the job go on at another rate."""
        with self._call():
            self._perform(self.session.slow_down(replace(self.session.throttle, limit=limit)))

    def finish(self) -> None:
        """Let the session be forgotten, as soon as it has ended."""
        with self._call():
            self._finish_by = self._finish_by or time.monotonic() + FINISH_PATIENCE_S

    # the daemon's side

    @property
    def is_ended(self) -> bool:
        """Say whether there is no process any more and every file is final."""
        return is_ended(self.session)

    @property
    def is_finished(self) -> bool:
        """Say whether the client needs it no more."""
        return self.is_ended and self._finish_by is not None

    def tick(self, now: float) -> None:
        """Do what is due."""
        with self._cond:
            self._perform(self.session.tick(now))
            if self._finish_by is not None and now >= self._finish_by:
                why = Abandoned("finished by its client before its mover was").problem(self.key.side, Phase.CLEANUP)
                self._perform(self.session.stop(False, why, now))

    def set_share(self, share: int) -> None:
        """Let it have so much of the host's rate; 0: there is no such limit."""
        with self._cond:
            if share != self.session.throttle.share:
                self._perform(self.session.slow_down(replace(self.session.throttle, share=share)))

    def stop(self, why: str, *, hurry: bool = False) -> None:
        """Stop on the daemon's own account, keeping partials."""
        problem = Abandoned(why).problem(self.key.side, Phase.TRANSFER)
        with self._cond:
            now = time.monotonic()
            self._perform(self.session.hurry(problem, now) if hurry else self.session.stop(False, problem, now))

    def close(self) -> None:
        """Let go of the memory: nobody asks for this session any more."""
        self._share.give_back()
        # They know each other, and Python would find out some day only.
        self._mover = None

    def wait_ended(self, timeout: float) -> bool:
        """Wait until it has ended; say whether it has."""
        with self._cond:
            return self._cond.wait_for(lambda: self.is_ended, timeout)

    def wait_process_gone(self, timeout: float) -> bool:
        """Wait until the mover's process has been reaped and its threads are done with it."""
        mover = self._mover
        return mover is None or mover.wait_gone(timeout)

    def kill(self) -> None:
        """Kill the mover now: the daemon leaves and has waited long enough."""
        if (mover := self._mover) is not None:
            mover.kill()

    def silence(self, now: float) -> float:
        """Return for how many seconds the client has not been heard of."""
        with self._cond:
            return self.session.silence(now)

    def claims(self, files: Sequence[DestinationFile]) -> bool:
        """Say whether this session is at one of these destinations, from the same source."""
        with self._cond:
            rows = Columns.of(DestinationFile, files)
            names = zip(rows.names("path"), rows.names("source"), strict=True)
            return any(self.session.destination.is_waiting_for(path, source) for path, source in names)

    def swept(self, partials: Sequence[KeptPartial]) -> None:
        """Take the sweeper's report."""
        with self._cond:
            self._perform(self.session.on_swept(partials))
            if self.session.discard:
                # It may have been aborted while the sweeper was out.
                self._tools.state.discard(self.number)

    def status(self, now: float) -> dict[str, object]:
        """Return facts for an administrator."""
        with self._cond:
            pid = None if self._mover is None else self._mover.pid
            return facts_of(self.session, now, pid, self._share.size)

    # inside

    @contextmanager
    def _call(self) -> Iterator[None]:
        """Hold the session during a client's call, and note that the client is there."""
        with self._cond:
            # A second connection may be here before the first one has started the mover.
            self._cond.wait_for(lambda: self._started, LAUNCH_TIMEOUT_S)
            self.calls += 1
            self.session.call_begins(time.monotonic())
            try:
                yield
            finally:
                self.session.call_ends(time.monotonic())

    def _wait(self, answer: Callable[[], T | None], timeout: float, what: str) -> T:
        deadline = time.monotonic() + timeout
        while (found := answer()) is None:
            if self.session.state not in WORKING:
                raise SessionOver(f"the {self.key.side}'s transfer is over already", cause=self.session.problem)
            left = deadline - time.monotonic()
            if left <= 0:
                raise MoverSlow(f"{what} did not come within {timeout:g} s", side=self.key.side, phase=Phase.PREFLIGHT)
            self._cond.wait(left)
        return found

    def _perform(self, wanted: Sequence[do.Command]) -> None:
        for command in wanted:
            try:
                self._do(command)
            except StateFailed as exc:
                # What is final stays readable from memory while we live; after that the file counts as failed, and a
                # second attempt finds it in place.
                _log.error("event=state-failed job=%s reason=%r", self.key.job, exc.reason)
        self._cond.notify_all()

    def _do(self, command: do.Command) -> None:
        tools = self._tools
        match command:
            case do.Record(position=position, outcomes=outcomes):
                tools.state.record(self.number, self.key.account, position, outcomes)
            case do.RecordKept(kept=kept):
                tools.state.keep(self.number, self.key.account, kept, time.time() + tools.keep_partials)
            case do.RecordEnd(problem=problem):
                tools.state.end(self.number, problem, time.time())
                self._event("session-ended", f"code={problem.code if problem else 'none'}")
            case do.Lease(endpoints=endpoints):
                self._leased = endpoints
                tools.ports.lease(endpoints, self.key.job)
            case do.StartSweep(paths=paths, discard=discard):
                tools.start_sweep(self, paths, discard)
            case do.Complain(text=text):
                self._event("mover-odd", f"reason={text!r}")
            case do.GiveUp():
                self._event("mover-undying", f"pid={self._mover.pid if self._mover else 0}")
                self._perform(self.session.on_exit("no end: nothing stops it"))
            case do.Send() | do.CutLifeLine() | do.Terminate() | do.Kill():
                if self._mover is not None:
                    _act(command, self._mover)

    def _on_message(self, message: Message) -> None:
        with self._cond:
            self._was_heard = True
            self._share.grow(costs.of_words(message))
            self._perform(self.session.on_message(message, time.monotonic()))
        if isinstance(message, Progress):
            self._tools.emit(progress_record(self._tools.host, self.key.job, self.key.side, message, time.time()))

    def _on_garbage(self, error: FdtError) -> None:
        with self._cond:
            self._perform(self.session.fail(error.problem(self.key.side, Phase.TRANSFER), time.monotonic()))

    def _on_exit(self, how: str) -> None:
        with self._cond:
            self._event("mover-ended", f"how={how!r}")
            self._tools.ports.release(self._leased)
            self._leased = ()
            doubt = "" if self._was_heard else self._tools.launcher.doubt(self.key.account)
            self._perform(self.session.on_exit(how + doubt))

    def _event(self, name: str, facts: str) -> None:
        _log.info("event=%s job=%s side=%s account=%s %s", name, self.key.job, self.key.side, self.key.account, facts)


def _act(command: do.Send | do.CutLifeLine | do.Terminate | do.Kill, mover: RunningMover) -> None:
    match command:
        case do.Send(order=order):
            mover.send(order)
        case do.CutLifeLine():
            mover.cut_life_line()
        case do.Terminate():
            mover.terminate()
        case do.Kill():
            _log.warning("event=mover-killed pid=%d", mover.pid)
            mover.kill()
