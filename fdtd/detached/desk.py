"""One connection's calls about detached jobs.

Decides what of a request is acceptable before a job is made of it: who may delegate, the form and the order of a
submission, its size.  A half-made submission lives here, in memory, and goes with the connection.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from authsvc.delegation import Delegated, Delegation
from authsvc.errors import DelegationRefused
from fdtcp.contract import MAX_CHUNK, Done
from fdtcp.detached import (
    CALLS,
    MAX_PARTS,
    Cancel,
    ChangeRate,
    DelegateBegin,
    DelegateBeginReply,
    DelegateFinish,
    DelegateFinishReply,
    Follow,
    Forget,
    Recall,
    RecallReply,
    Reply,
    Request,
    Submit,
    Terms,
    Wanted,
    decode_request,
    encode_reply,
)
from fdtcp.errors import OptionRefused, Phase, ProtocolViolation
from fdtcp.model.copyjob import check_doubles
from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer
from fdtd.detached.job import Owner
from fdtd.detached.jobs import DetachedJobs, Submission
from fdtd.detached.pace import Pace
from fdtd.errors import DelegatingTooFast
from fdtd.sessions.book import MAX_FILES
from fdtd.site.memory import Memory

if TYPE_CHECKING:
    from authsvc.channel import Caller
    from authsvc.identity import IdentityRules

_JOB: Final = re.compile(r"[0-9a-f]{32}")
# What a file takes in memory until its job has ended, beside its end at this daemon: 260 bytes as it was submitted, up
# to 275 while it is driven (tracemalloc), and for a moment its names in both ways.
FILE_BYTES: Final = 540
# A key takes 46 ms of CPU.  As many at once as a user may have jobs, twice; then one in three seconds, 1.5 % of a core.
KEYS_AT_ONCE: Final = 40
KEY_EVERY_S: Final = 3.0
# As fdtcp's --timeout, which a person chose.
MAX_CONTACT_S: Final = 86_400.0
# Numeric addresses and hosts of one user's configuration.
MAX_NAMES: Final = 64

Plain = dict[str, Any]  # Any: plain values of the channel
Call = Callable[[str, Plain], Plain]


class Desks:
    """All connections' desks."""

    def __init__(self, jobs: DetachedJobs, memory: Memory, rules: IdentityRules) -> None:
        """`rules` are the site's for callers: a proxy that it would not let in is not delegated to it."""
        self.jobs = jobs
        self.memory = memory
        self.rules = rules
        self._pace = Pace(KEYS_AT_ONCE, KEY_EVERY_S)
        self._lock = threading.Lock()

    def handler_for(self, caller: Caller, ordinary: Call) -> Call:
        """Return the function that answers one connection: its calls about detached jobs here, others as before."""
        desk = Desk(caller, self)

        def call(name: str, argument: Plain) -> Plain:
            return desk.call(name, argument) if name in CALLS else ordinary(name, argument)

        return call

    def check_pace(self, dn: str) -> None:
        """Count one more key for this user, on whichever connection.  Raises DelegatingTooFast."""
        with self._lock:
            wait = self._pace.wait_for(dn, time.monotonic())
        if wait > 0:
            raise DelegatingTooFast(f"you delegate too often; the next one is due in {wait:.0f} s", phase=Phase.PREPARE)


class Desk:
    """One connection."""

    def __init__(self, caller: Caller, desks: Desks) -> None:
        self._caller = caller
        self.dn = caller.identity.dn
        self._desks = desks
        self._jobs = desks.jobs
        self._delegation = Delegation(caller, desks.rules)
        self._job = ""
        self._delegated: Delegated | None = None
        self._terms: Terms | None = None
        self._transfers: list[Transfer] = []
        self._share = desks.memory.share(self.dn)

    def call(self, name: str, argument: Plain) -> Plain:
        """Answer one call.  Raises FdtError."""
        request = decode_request(name, argument)
        if not _JOB.fullmatch(request.job):
            raise ProtocolViolation("a job is named by a UUID, 32 hex digits")
        if self._caller.grant is not None:
            # The job would call at its source without the token, and so without the token's limits; and what others
            # submitted may be none of its bearer's business.
            raise DelegationRefused("a connection with a bearer token has no detached jobs", remedy="leave --token out")
        return encode_reply(self._answer(request))

    def _answer(self, request: Request) -> Reply:
        match request:
            case DelegateBegin():
                return self._begin(request.job)
            case DelegateFinish():
                return self._finish(request)
            case Submit():
                return self._submit(request)
            case Follow(job, cursor, wait):
                if cursor < 0:
                    raise ProtocolViolation("a cursor is not negative")
                return self._jobs.follow(self.dn, job, cursor, wait)
            case Recall(job, position):
                if position < 0:
                    raise ProtocolViolation("a position is not negative")
                return RecallReply(self._jobs.recall(self.dn, job, position))
        self._act(request)
        return Done()

    def _act(self, request: ChangeRate | Cancel | Forget) -> None:
        match request:
            case ChangeRate(job, rate):
                self._jobs.change_rate(self.dn, job, rate)
            case Cancel(job):
                self._jobs.cancel(self.dn, job)
            case Forget(job):
                self._jobs.forget(self.dn, job)

    def _begin(self, job: str) -> DelegateBeginReply:
        if not self._jobs.is_allowed:
            raise OptionRefused(
                "this site takes no detached jobs", remedy="leave --detach and --delegate out", phase=Phase.PREPARE
            )
        self._desks.check_pace(self.dn)
        self._job, self._delegated, self._terms, self._transfers = job, None, None, []
        self._share.give_back()
        return DelegateBeginReply(self._delegation.begin())

    def _finish(self, request: DelegateFinish) -> DelegateFinishReply:
        if request.job != self._job:
            raise DelegationRefused("a delegation was finished for another job than it was begun for")
        self._delegated = self._delegation.finish(request.chain)
        if self._jobs.knows(self.dn, request.job):
            self._jobs.renew(self.dn, request.job, self._delegated)
        return DelegateFinishReply(self._delegated.not_after)

    def _submit(self, request: Submit) -> Done:
        if self._jobs.knows(self.dn, request.job):
            return Done()  # the answer to the last call was lost, and it is made again
        if request.job != self._job or self._delegated is None:
            raise DelegationRefused("a job is submitted after a proxy was delegated for it, on the same connection")
        self._take(request)
        if request.last:
            transfers, self._transfers = tuple(self._transfers), []
            delegated, self._delegated = self._delegated, None
            share, self._share = self._share, self._desks.memory.share(self.dn)
            _check_whole(transfers)
            owner = Owner(self._caller.identity, self._caller.account)
            self._jobs.start(owner, Submission(request.job, request.terms, transfers, delegated, share))
        return Done()

    def _take(self, request: Submit) -> None:
        if len(request.files) > MAX_CHUNK:
            raise ProtocolViolation(f"a chunk of {len(request.files)} files; at most {MAX_CHUNK} are allowed")
        if request.position != len(self._transfers):
            raise ProtocolViolation(f"file {len(self._transfers)} was due, and {request.position} came")
        if len(self._transfers) + len(request.files) > MAX_FILES:
            raise OptionRefused(f"a detached job has at most {MAX_FILES} files", phase=Phase.PREPARE)
        if self._terms is None:
            _check_terms(request.terms)
            self._terms = request.terms
        elif self._terms != request.terms:
            raise ProtocolViolation("the terms changed in the middle of a submission")
        self._share.grow(sum(FILE_BYTES + 2 * (len(one.source) + len(one.destination)) for one in request.files))
        self._transfers += [_read(one) for one in request.files]


def _read(one: Wanted) -> Transfer:
    return Transfer(Pfn.parse(one.source), Pfn.parse(one.destination), one.literal)


def _check_terms(terms: Terms) -> None:
    # Written so that NaN fails too.
    if not 0 < terms.contact <= MAX_CONTACT_S:
        raise OptionRefused(f"the timeout must be more than 0 and at most {MAX_CONTACT_S:g} s", phase=Phase.PREPARE)
    if max(len(terms.peers), len(terms.source_addresses), len(terms.destination_addresses)) > MAX_NAMES:
        raise OptionRefused(f"at most {MAX_NAMES} addresses or peers can be named", phase=Phase.PREPARE)


def _check_whole(transfers: tuple[Transfer, ...]) -> None:
    if not transfers:
        raise ProtocolViolation("a job without a file was submitted")
    if len({transfer.destination.address for transfer in transfers}) != 1:
        raise ProtocolViolation("a detached job has one destination, the daemon that drives it")
    if len({transfer.source.address for transfer in transfers}) > MAX_PARTS:
        raise OptionRefused(
            f"a detached job has at most {MAX_PARTS} sources", remedy="cut it into several", phase=Phase.PREPARE
        )
    check_doubles(transfers)
