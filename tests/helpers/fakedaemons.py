"""Two daemons in memory, which behave: they answer the calls of the contract for files that exist in a dictionary.

They keep the contract's promises (idempotent calls, one outcome a file) and can be told to misbehave.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fdtcp import contract
from fdtcp.contract import (
    Abort,
    Connect,
    Describe,
    DescribeReply,
    Done,
    Expect,
    ExpectReply,
    Finish,
    Listen,
    ListenReply,
    Release,
    Reply,
    Request,
    SetRate,
    SourceGone,
    Watch,
    WatchReply,
)
from fdtcp.errors import (
    Abandoned,
    DestinationExists,
    Phase,
    Problem,
    RemoteProblem,
    Side,
    SourceMissing,
    Unreachable,
)
from fdtcp.lines import Channel
from fdtcp.model.order import Action, Endpoint, Found, KeptPartial, Outcome, State, StreamProgress, Verdict
from fdtcp.model.pfn import Address

SOURCE = Address("source.example", 1)
DESTINATION = Address("destination.example", 2)


@dataclass
class FakePair:
    """What the two hosts know; sizes by path at the source, paths that exist at the destination."""

    sizes: dict[bytes, int] = field(default_factory=dict)
    existing: set[bytes] = field(default_factory=set)
    same: set[bytes] = field(default_factory=set)
    # Called before each answer; may raise, or change what is known.
    on_call: Callable[[Request], None] = lambda _request: None
    calls: list[tuple[Side, Request]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    expected: dict[int, int] = field(default_factory=dict)
    reader_problem: Problem | None = None
    writer_problem: Problem | None = None
    reader_ended: bool = False
    writer_ended: bool = False
    is_told_all: bool = False
    is_stalled: bool = False
    rate: int | None = None  # what the destination keeps to
    kept: tuple[KeptPartial, ...] = ()
    connections: int = 0
    unreachable: set[Address] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def open(self, side: Side, address: Address, deadline: float) -> Channel:  # noqa: ARG002  # an Opener has one
        """Be an Opener."""
        if address in self.unreachable:
            raise Unreachable(f"cannot connect to {address}")
        self.connections += 1
        return FakeChannel(self, side)

    def answer(self, side: Side, request: Request) -> Reply:
        """Answer one call as a daemon would."""
        with self.lock:
            self.calls.append((side, request))
            self.on_call(request)
            match request:
                case Describe(files=files):
                    return DescribeReply(tuple(self._find(file.index, file.path) for file in files), ("127.1.0.2",))
                case Expect(files=files, last=last):
                    self.is_told_all = self.is_told_all or last
                    verdicts = tuple(self._judge(file.index, file.path, file.size) for file in files)
                    return ExpectReply(verdicts, rate=self.rate)
                case Listen():
                    return ListenReply((Endpoint("127.1.0.3", 54321),), b"s" * 32)
                case Release(files=files, last=last):
                    if not self.is_stalled:
                        self._finish([file.index for file in files], last)
                    return Done()
                case Watch():
                    return self._watch(side, request)
                case Abort():
                    self._abort(side)
                    return Done()
                case SetRate(rate=rate):
                    self.rate = rate if side is Side.DESTINATION else self.rate
                    return Done()
                case Connect() | Finish() | SourceGone():
                    return Done()
            raise AssertionError(f"nobody asks {request}")

    def names(self, side: Side) -> list[str]:
        """Return the names of the calls so far, without the watches."""
        return [type(request).__name__ for at, request in self.calls if at is side and not isinstance(request, Watch)]

    def _finish(self, indexes: list[int], last: bool) -> None:
        for index in indexes:
            self._say(Outcome(index, State.DONE, self.expected[index], self.expected[index]))
        self.reader_ended = self.reader_ended or last

    def _find(self, index: int, path: bytes) -> Found:
        if path not in self.sizes:
            missing = SourceMissing(f"{path.decode()} does not exist").problem(Side.CLIENT, Phase.PREFLIGHT)
            return Found(index, 0, 0, 0, missing)
        return Found(index, self.sizes[path], 1, 0o644)

    def _judge(self, index: int, path: bytes, size: int) -> Verdict:
        self.expected[index] = size
        if path in self.existing:
            exists = DestinationExists(f"{path.decode()} exists").problem(Side.CLIENT, Phase.PREFLIGHT)
            self._say(Outcome(index, State.FAILED, size, problem=exists.on(Side.DESTINATION)))
            return Verdict(index, Action.SKIP, problem=exists)
        if path in self.same:
            self._say(Outcome(index, State.SKIPPED, size))
            return Verdict(index, Action.SKIP)
        return Verdict(index, Action.SEND)

    def _say(self, outcome: Outcome) -> None:
        if all(outcome.index != said.index for said in self.outcomes):
            self.outcomes.append(outcome)

    def _watch(self, side: Side, request: Watch) -> Reply:
        streams = (StreamProgress(0, "127.1.0.3:54321", "127.1.0.2:40000", 7, alive=True),)
        if side is Side.SOURCE:
            return WatchReply(request.cursor, (), 0, streams, self.reader_ended, self.reader_problem)
        fresh = tuple(self.outcomes[request.cursor : request.cursor + contract.MAX_CHUNK])
        cursor = request.cursor + len(fresh)
        is_all = self.is_told_all and len(self.outcomes) == len(self.expected)
        ended = (self.writer_ended or is_all) and cursor == len(self.outcomes)
        moved = sum(outcome.moved for outcome in self.outcomes)
        problem, kept = (self.writer_problem, self.kept) if ended else (None, ())
        return WatchReply(cursor, fresh, moved, streams, ended, problem, kept, self.rate)

    def _abort(self, side: Side) -> None:
        if side is Side.SOURCE:
            self.reader_ended = True
            return
        self.writer_ended = True
        for index, size in self.expected.items():
            stopped = Abandoned("stopped by its client").problem(Side.DESTINATION, Phase.TRANSFER)
            self._say(Outcome(index, State.FAILED, size, problem=stopped))


class FakeChannel:
    """A connection to one of the two, through the real encoding."""

    def __init__(self, pair: FakePair, side: Side) -> None:
        self._pair = pair
        self._side = side

    def call(self, name: str, argument: dict[str, Any], timeout: float) -> dict[str, Any]:  # noqa: ARG002  # nothing here takes long
        request = contract.decode_request(name, argument)
        reply = self._pair.answer(self._side, request)
        if isinstance(request, Watch) and isinstance(reply, WatchReply) and not (reply.outcomes or reply.ended):
            time.sleep(min(request.wait, 0.01))  # a daemon waits for news, too
        return contract.encode_reply(reply)

    def close(self) -> None:
        pass


def refuse(problem: Problem) -> RemoteProblem:
    """Return what a channel raises when a daemon answers with a problem."""
    return RemoteProblem(problem)
