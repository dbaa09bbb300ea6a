"""All detached jobs of a daemon: starting them within limits, telling their owners, ending them with the daemon.

Decides who may have how many, and what became of jobs that a killed daemon was driving: their files that the state file
knows to be final are, all others have failed and can be tried again; nothing is driven on after a restart, because the
proxies of such jobs are removed.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from authsvc.delegation import Delegated
from authsvc.errors import Banned
from authsvc.identity import Identity
from fdtcp import contract
from fdtcp.contract import MAX_CHUNK
from fdtcp.detached import MAX_WAIT_S, FollowReply, Part, Terms, Wanted, cut
from fdtcp.errors import Abandoned, DaemonLost, FdtError, Phase, Problem, Side
from fdtcp.model.job import Job, group
from fdtcp.model.options import Options
from fdtcp.model.order import Outcome, Policy, State
from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer
from fdtcp.stages import Stage
from fdtcp.units import format_size
from fdtd.detached.channels import Openings
from fdtd.detached.job import DetachedJob, Owner
from fdtd.detached.loan import Loan
from fdtd.detached.store import DetachedStore, StoredJob
from fdtd.errors import DaemonLeaving, StateFailed, StateFull, TooManySessions, UnknownSession
from fdtd.sessions.machine import SessionKey
from fdtd.site.config import Settings
from fdtd.site.memory import Share
from fdtd.state.statefile import StateFile

_log: Final = logging.getLogger("fdtd.detached")

# Below [service] state_dir; its files are private keys.
PROXIES: Final = "proxies"
# How often is looked whether owners may still have what runs in their name, and for results that nobody fetched.
LOOK_EVERY_S: Final = 10.0

# A connection that is being opened cannot be called back: no user's timeout may keep threads of ours for longer.
LONGEST_CONTACT_S: Final = 120.0

# (dn, account, request) -> reply: the service's own.
Answer = Callable[[str, str, contract.Request], contract.Reply]
# (identity, account) -> account, or raises: the daemon's rules on accounts, as for a new connection.
Authorise = Callable[[Identity, str], str]


@dataclass(frozen=True, slots=True)
class Submission:
    """What a user hands over."""

    name: str
    terms: Terms
    transfers: tuple[Transfer, ...]
    delegated: Delegated
    share: Share  # of the memory that the owner may have, for as long as the job runs


class DetachedJobs:
    """The running ones in memory, all of them in the store; safe to use from all threads."""

    def __init__(self, settings: Settings, store: DetachedStore, answer: Answer, authorise: Authorise) -> None:
        self._settings = settings
        self._store = store
        self._answer = answer
        self._authorise = authorise
        self._proxies = os.path.join(settings.service.state_dir, PROXIES)
        self._starting = threading.Lock()
        self._running: dict[tuple[str, str], DetachedJob] = {}
        self._leaving = False
        self._look_at = 0.0

    @property
    def is_allowed(self) -> bool:
        """Whether the site has such jobs at all."""
        return self._settings.detached.allowed

    def recover(self, state: StateFile) -> None:
        """Put in order what a killed daemon left, before anybody can ask.  Raises StateFailed."""
        try:
            os.makedirs(self._proxies, mode=0o700, exist_ok=True)
            for name in os.listdir(self._proxies):
                os.unlink(os.path.join(self._proxies, name))
        except OSError as exc:
            raise StateFailed(f"cannot clear {self._proxies}: {exc.strerror}") from exc
        for job in self._store.unfinished():
            self._bury(job, state)

    # what owners ask

    def knows(self, dn: str, name: str) -> bool:
        """Whether this owner has submitted that job."""
        return self._store.find(dn, name) is not None

    def start(self, owner: Owner, submission: Submission) -> None:
        """Start a job; one that was submitted before is left as it is.  Raises FdtError."""
        name = submission.name
        with self._starting:
            if self.knows(owner.dn, name):
                return
            self._check_room(owner)
            loan = Loan(self._proxies, submission.delegated)
            job = DetachedJob(owner, name, group(submission.transfers), self._store, loan, submission.share)
            terms = submission.terms
            options = Options(
                replace(terms.policy, unattended=True), terms.source_addresses, terms.destination_addresses
            )
            openings = Openings(
                lambda request: self._answer(owner.dn, owner.account, request),
                loan,
                self._settings.security.ca_dir,
                terms,
                self._settings.detached.sources,
                self._settings.security.rules.trust,
            )
            try:
                parts = job.prepare(options, openings.open, min(terms.contact, LONGEST_CONTACT_S))
                number = self._store.begin(_new(owner, submission, parts), map(Wanted.of, submission.transfers))
            except FdtError:
                loan.end()
                raise
            self._running[owner.dn, name] = job
            job.start(number)
        _log.info(
            "event=detached-submitted job=%s account=%s dn=%r files=%d proxy_until=%s",
            *(name, owner.account, owner.dn, len(submission.transfers), _until(submission.delegated)),
        )

    def renew(self, dn: str, name: str, delegated: Delegated) -> None:
        """Let a running job go on with another proxy.  Raises UnknownSession, StateFailed."""
        stored = self._require(dn, name)
        running = self._running.get((dn, name))
        if running is None or not running.loan.renew(delegated):
            return  # it has ended, and needs none
        self._store.renew(stored.id, delegated.not_after)
        _log.info("event=detached-renewed job=%s dn=%r proxy_until=%s", name, dn, _until(delegated))

    def follow(self, dn: str, name: str, cursor: int, wait: float) -> FollowReply:
        """Return news, within MAX_WAIT_S.  Raises UnknownSession."""
        running = self._running.get((dn, name))
        if running is not None:
            running.wait_news(cursor, time.monotonic() + max(0.0, min(wait, MAX_WAIT_S)))
        stored = self._require(dn, name)
        outcomes = tuple(self._store.outcomes(stored.id, cursor, MAX_CHUNK))
        behind = cursor + len(outcomes)
        is_over = stored.ended is not None
        return FollowReply(
            stored.files,
            behind,
            outcomes,
            is_over and behind >= stored.files,
            stored.cancelled,
            stored.began,
            stored.seconds if is_over or running is None else running.seconds,
            stored.not_after,
            stored.parts if is_over or running is None else running.parts(),
        )

    def recall(self, dn: str, name: str, position: int) -> tuple[Wanted, ...]:
        """Return files from `position` on.  Raises UnknownSession."""
        return tuple(cut(self._store.wanted(self._require(dn, name).id, position, MAX_CHUNK)))

    def change_rate(self, dn: str, name: str, rate: int) -> None:
        """Let a running job go on at another rate.  Raises UnknownSession, OptionRefused."""
        self._require(dn, name)
        self._settings.limits.apply(Policy(rate_limit=rate))
        if (running := self._running.get((dn, name))) is not None:
            _log.info("event=detached-rate job=%s dn=%r rate=%d", name, dn, rate)
            running.change_rate(rate)

    def cancel(self, dn: str, name: str) -> None:
        """Stop a job; one that has ended is left as it is.  Raises UnknownSession."""
        self._require(dn, name)
        if (running := self._running.get((dn, name))) is not None:
            _log.info("event=detached-cancelled job=%s dn=%r", name, dn)
            why = Abandoned("the job was cancelled by its owner").problem(Side.DESTINATION, Phase.TRANSFER)
            running.stop(why, is_cancelled=True)

    def forget(self, dn: str, name: str) -> None:
        """Drop a job that has ended; nothing there is what a repeated call finds."""
        stored = self._store.find(dn, name)
        if stored is not None and stored.ended is not None:
            self._store.forget(stored.id)

    # the daemon's side

    def tick(self, now: float) -> None:
        """Do what is due."""
        for key, job in list(self._running.items()):
            if job.is_ended:
                self._running.pop(key, None)
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY_S
            for job in list(self._running.values()):
                self._check_owner(job)
            self._store.purge(time.time() - self._settings.session.outcomes_kept)

    def part_with(self, is_banned: Callable[[str], bool]) -> None:
        """Stop the jobs of users whom the site has banned."""
        for job in list(self._running.values()):
            if not job.is_ended and is_banned(job.owner.dn):
                job.stop(Banned(f"{job.owner.dn} is banned from this site").problem(Side.DESTINATION, Phase.TRANSFER))

    @property
    def is_idle(self) -> bool:
        """Whether no job runs."""
        return all(job.is_ended for job in list(self._running.values()))

    def refuse_new(self) -> None:
        """Take no more jobs: the daemon leaves when it is idle."""
        self._leaving = True

    def leave(self) -> None:
        """Stop all jobs; they end while the daemon stops its movers."""
        self._leaving = True
        why = DaemonLost("the destination's daemon was stopped while the job ran")
        for job in list(self._running.values()):
            job.leave(why.problem(Side.DESTINATION, Phase.TRANSFER))

    def wait_ended(self, deadline: float) -> None:
        """Wait until all have ended or the deadline (monotonic) passes; the next start ends those that are left."""
        for job in list(self._running.values()):
            if not job.wait_ended(max(0.0, deadline - time.monotonic())):
                _log.error("event=detached-left job=%s", job.name)

    def status(self) -> list[dict[str, object]]:
        """Return facts for an administrator."""
        return [
            {"job": job.name, "dn": job.owner.dn, "files": job.files, "age": round(job.seconds, 1)}
            for job in list(self._running.values())
        ]

    # inside

    def _require(self, dn: str, name: str) -> StoredJob:
        stored = self._store.find(dn, name)
        if stored is None:
            raise UnknownSession(
                f"there is no detached job {name} here",
                remedy="it is another user's, or its result was read already, or nobody read it for too long",
                phase=Phase.SERVICE,
            )
        return stored

    def _check_room(self, owner: Owner) -> None:
        """Hold as many jobs as sessions: each needs at least one."""
        if self._leaving:
            raise DaemonLeaving("the daemon takes no new jobs: it is leaving", phase=Phase.PREPARE)
        limits = self._settings.session
        running = [job for job in self._running.values() if not job.is_ended]
        if len(running) >= limits.max_sessions:
            raise TooManySessions(f"{len(running)} detached jobs are running here already", phase=Phase.PREPARE)
        mine = sum(job.owner.dn == owner.dn for job in running)
        if mine >= limits.max_sessions_per_user:
            raise TooManySessions(f"you have {mine} detached jobs at this daemon already", phase=Phase.PREPARE)
        if (stored := self._store.stored_by(owner.dn)) > limits.max_state_per_user:
            raise StateFull(f"{format_size(stored)} are written down of your detached jobs here", phase=Phase.PREPARE)

    def _check_owner(self, job: DetachedJob) -> None:
        """Stop a job whose owner would not be let in any more; a map that cannot be read now stops nobody."""
        try:
            self._authorise(job.owner.identity, job.owner.account)
        except FdtError as exc:
            if not exc.retryable:
                _log.warning("event=detached-forbidden job=%s code=%s reason=%r", job.name, exc.code, exc.reason)
                job.stop(exc.problem(Side.DESTINATION, Phase.AUTHENTICATE))

    def _bury(self, job: StoredJob, state: StateFile) -> None:
        """End a job that died with a daemon: what its sessions had made final is, the rest has failed."""
        wanted = self._store.wanted(job.id, 0, job.files)
        parts = list(zip(group(_transfers(wanted)), job.parts, strict=False))
        for one, part in parts:
            self._store.record(job.id, _known(one, SessionKey(job.dn, job.account, part.id, Side.DESTINATION), state))
        why = DaemonLost("the destination's daemon was restarted while the job ran")
        left = self._store.without_end(job.id)
        self._store.record(job.id, [_failed(at, why.problem(Side.DESTINATION, Phase.TRANSFER)) for at in left])
        ends = {one.index: one for one in self._store.outcomes(job.id, 0, job.files)}
        counted = [_count(one, part, ends) for one, part in parts]
        self._store.end(job.id, counted, time.time(), max(0.0, time.time() - job.began), cancelled=False)
        _log.warning("event=detached-buried job=%s dn=%r unfinished=%d", job.job, job.dn, len(left))


def _until(delegated: Delegated) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(delegated.not_after))


def _new(owner: Owner, submission: Submission, parts: tuple[Part, ...]) -> StoredJob:
    files, until = len(submission.transfers), submission.delegated.not_after
    return StoredJob(
        0, owner.dn, owner.account, submission.name, time.time(), until, files, parts, None, 0.0, cancelled=False
    )


def _transfers(wanted: Sequence[Wanted]) -> list[Transfer]:
    return [Transfer(Pfn.parse(one.source), Pfn.parse(one.destination), one.literal) for one in wanted]


def _known(job: Job, key: SessionKey, state: StateFile) -> list[Outcome]:
    session = state.find(key)
    if session is None:
        return []
    outcomes = state.outcomes(session.id, 0, len(job.transfers))
    return [replace(one, index=job.positions[one.index]) for one in outcomes if one.index < len(job.positions)]


def _count(job: Job, part: Part, ends: Mapping[int, Outcome]) -> Part:
    """Return the part as its files say that it is: nothing else is left of it."""
    states = [ends[position].state for position in job.positions]
    return replace(
        part,
        stage=Stage.ENDED.value,
        done=states.count(State.DONE),
        skipped=states.count(State.SKIPPED),
        failed=states.count(State.FAILED),
        total=sum(ends[position].size for position in job.positions),
        moved=sum(ends[position].moved for position in job.positions),
    )


def _failed(position: int, why: Problem) -> Outcome:
    return Outcome(position, State.FAILED, 0, problem=why)
