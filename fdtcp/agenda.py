"""The order of the calls that move a job's files: what each end is asked next, and what its answers mean.  Pure.

Decides which call comes when as long as all goes well.  Pre-flight goes in chunks: while the first files flow, later
ones are described and expected.  Calls that get bytes flowing come before those that prepare more files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fdtcp import contract
from fdtcp.contract import (
    Describe,
    DescribeReply,
    Done,
    Expect,
    ExpectReply,
    PrepareReceive,
    PrepareReceiveReply,
    Release,
    Reply,
    Request,
    SetRate,
    SourceGone,
    StartSend,
    Watch,
)
from fdtcp.ends import End
from fdtcp.errors import ProtocolViolation, Side
from fdtcp.model.ledger import Ledger
from fdtcp.model.options import Options
from fdtcp.model.order import Outcome
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
        self._peers: tuple[str, ...] = ()
        self._prepared: PrepareReceiveReply | None = None

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
                self._peers = self._peers or reply.addresses
                return "described", self.ledger.note_found(request.files, reply.found)
            case Expect(), ExpectReply():
                self.ledger.note_verdicts(request.files, reply.verdicts)
                return "expected" if request.files else "writer ready", ()
            case PrepareReceive(), PrepareReceiveReply():
                if not 0 < len(reply.endpoints) <= contract.MAX_ENDPOINTS:
                    raise ProtocolViolation(f"the destination listens on {len(reply.endpoints)} endpoints")
                self._prepared = reply
                self.rates.note(Side.DESTINATION, reply.rate)
                return "prepared", ()
            case StartSend(), Done():
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

    def _next_of_source(self) -> Request | None:
        if self._prepared is not None and not self.is_started:
            return StartSend(self._job, self._prepared.endpoints, self._prepared.secret)
        if self.is_started and (chunk := self.ledger.next_to_release()) is not None:
            return Release(self._job, *chunk)
        # The source must be free when the streams can be opened, and need not be far ahead of the destination.
        is_wanted_free = self.ledger.needs_data and not self.is_started
        if not is_wanted_free and not self.ledger.is_ahead and (files := self.ledger.next_to_describe()):
            return Describe(self._job, self._options.policy, self._options.source_addresses, files)
        return None

    def _next_of_destination(self, end: End) -> Request | None:
        addresses = self._options.destination_addresses
        if not end.has_session:
            return Expect(self._job, self._options.policy, addresses, (), last=False)
        if self.ledger.needs_data and self._prepared is None:
            return PrepareReceive(self._job, self._peers)
        if (chunk := self.ledger.next_to_expect()) is not None:
            return Expect(self._job, self._options.policy, addresses, *chunk)
        return None
