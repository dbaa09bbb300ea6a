"""The order of the calls that move a job's files: what each end is asked next, and what its answers mean.  Pure.

Decides which call comes when as long as all goes well.  Pre-flight goes in chunks: while the first files flow, later
ones are described and expected.  Calls that get bytes flowing come before those that prepare more files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fdtcp import contract
from fdtcp.contract import (
    Connect,
    Describe,
    DescribeReply,
    Done,
    Expect,
    ExpectReply,
    Listen,
    ListenReply,
    Release,
    Reply,
    Request,
    SetRate,
    SourceGone,
    Watch,
)
from fdtcp.ends import End
from fdtcp.errors import ProtocolViolation, Side
from fdtcp.model.ledger import Ledger
from fdtcp.model.options import Options
from fdtcp.model.order import Outcome
from fdtcp.model.policy import Encrypt
from fdtcp.model.transfer import Transfer
from fdtcp.rates import Rates

# While chunks are on their way an end must be free for the next one, so it is only asked for news now and then.
GLANCE_EVERY_S: Final = 0.25


class Agenda:
    """The calls of one job."""

    def __init__(self, job: str, transfers: Sequence[Transfer], options: Options) -> None:
        self.ledger = Ledger(transfers, contract.MAX_CHUNK, contract.MAX_CHUNK_BYTES)
        self.rates = Rates(options.policy.rate_limit)
        self.is_started = False
        self._job = job
        self._options = options
        self._listener = options.policy.listener
        self._addresses: dict[Side, tuple[str, ...]] = {}
        self._is_encrypted = options.policy.encrypt is Encrypt.YES
        self._prepared: ListenReply | None = None

    def next_call(self, end: End, now: float) -> Request | None:
        """Return what to ask that end, which is free; None if there is nothing to ask before the next glance."""
        if end.has_session and (rate := self.rates.next_for(end.side)) is not None:
            return SetRate(self._job, rate, end.side)
        request = self._next_of_source() if end.side is Side.SOURCE else self._next_of_destination(end)
        if request is not None:
            return request
        is_told_all = self.ledger.is_released if end.side is Side.SOURCE else self.ledger.is_expected
        if is_told_all and now >= end.watched_at:
            return self.watch(end, contract.MAX_WATCH_S)
        if now >= end.watched_at + GLANCE_EVERY_S:
            return self.watch(end, 0.0)
        return None

    def watch(self, end: End, wait: float) -> Watch:
        """Return the call that asks for news."""
        return Watch(self._job, end.cursor, wait, end.side)

    def last_call(self, end: End, source: End) -> Request:
        """Return what to ask an end that is left when the other one is over."""
        is_alone = end.side is Side.DESTINATION and source.problem is not None and self.is_started
        if is_alone and not end.is_told_alone:
            # Streams that broke may come back; without this word the writer would hope for it.
            end.is_told_alone = True
            return SourceGone(self._job)
        return self.watch(end, contract.MAX_WATCH_S)

    def take(self, request: Request | None, reply: Reply) -> tuple[str, Sequence[Outcome]]:
        """Take an answer; return the name of the step that it completes and what became final by it.

        Raises ProtocolViolation.
        """
        match request, reply:
            case Describe(), DescribeReply():
                self._note_end(Side.SOURCE, reply)
                return "described", self.ledger.note_found(request.files, reply.found)
            case Expect(), ExpectReply():
                self._note_end(Side.DESTINATION, reply)
                self.rates.note(Side.DESTINATION, reply.rate)
                self.ledger.note_verdicts(request.files, reply.verdicts)
                return "expected" if request.files else "writer ready", ()
            case Listen(), ListenReply():
                self._check_prepared(reply)
                self._prepared = reply
                return "prepared", ()
            case Connect(), Done():
                self.is_started = True
                return "started", ()
            case SetRate(), Done():
                self.rates.told(request.side, request.rate)
                return "rate changed", ()
            case Release(), Done():
                return "released", ()
            case SourceGone(), Done():
                return "told of the loss", ()
        raise ProtocolViolation(f"{type(reply).__name__} is no answer to {type(request).__name__}")

    def _note_end(self, side: Side, reply: DescribeReply | ExpectReply) -> None:
        self._addresses.setdefault(side, reply.addresses)
        self._is_encrypted = self._is_encrypted or reply.encrypts

    def _check_prepared(self, reply: ListenReply) -> None:
        if not 0 < len(reply.endpoints) <= contract.MAX_ENDPOINTS:
            raise ProtocolViolation(f"the {self._listener} listens on {len(reply.endpoints)} endpoints")
        if len(reply.fingerprint) not in (0, contract.FINGERPRINT_BYTES):
            raise ProtocolViolation(f"the {self._listener} has a fingerprint of {len(reply.fingerprint)} bytes")
        if self._is_encrypted and not reply.fingerprint:
            raise ProtocolViolation(f"the {self._listener} was asked for encrypted streams and listens for plain ones")

    def _next_of_crossing(self, side: Side) -> Request | None:
        """Return the call that makes that end listen, or connect, if it is its turn."""
        if side is self._listener:
            if not self.ledger.needs_data or self._prepared is not None:
                return None
            peer = Side.DESTINATION if side is Side.SOURCE else Side.SOURCE
            return Listen(self._job, self._addresses.get(peer, ()), side, self._is_encrypted)
        ready = self._prepared
        if ready is None or self.is_started:
            return None
        return Connect(self._job, ready.endpoints, ready.secret, side, ready.fingerprint)

    def _next_of_source(self) -> Request | None:
        if (request := self._next_of_crossing(Side.SOURCE)) is not None:
            return request
        if self.is_started and (chunk := self.ledger.next_to_release()) is not None:
            return Release(self._job, *chunk)
        # Who connects must be free when the streams can be opened; the source need not be far ahead.
        if not self._is_wanted_free and not self.ledger.is_ahead and (files := self.ledger.next_to_describe()):
            return Describe(self._job, self._options.policy, self._options.source_addresses, files)
        return None

    def _next_of_destination(self, end: End) -> Request | None:
        addresses = self._options.destination_addresses
        if not end.has_session:
            return Expect(self._job, self._options.policy, addresses, (), last=False)
        if (request := self._next_of_crossing(Side.DESTINATION)) is not None:
            return request
        is_kept_free = self._is_wanted_free and self._listener is Side.SOURCE
        if not is_kept_free and (chunk := self.ledger.next_to_expect()) is not None:
            return Expect(self._job, self._options.policy, addresses, *chunk)
        return None

    @property
    def _is_wanted_free(self) -> bool:
        return self.ledger.needs_data and not self.is_started
