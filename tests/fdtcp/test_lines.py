from __future__ import annotations

import queue
import threading
from typing import Any

from fdtcp.contract import About, AboutReply, Request, encode_reply
from fdtcp.errors import (
    DaemonLost,
    InternalError,
    MoverDied,
    Phase,
    ProtocolViolation,
    RemoteProblem,
    Side,
    Unreachable,
)
from fdtcp.lines import Answered, Channel, Failed, Line, NotOpened, Opened, Refused, Report
from fdtcp.model.pfn import Address

WITHIN_S = 10.0
REPLY = AboutReply("1", 1, "host", ())


class Scripted:
    """A channel that answers with what it was given, or raises it."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.closed = threading.Event()

    def call(self, name: str, argument: dict[str, Any], timeout: float) -> dict[str, Any]:
        assert (name, argument, timeout) == ("about", {}, 5.0)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if answer == "hang":
            assert self.closed.wait(WITHIN_S)
            raise DaemonLost("closed")
        assert isinstance(answer, dict)
        return answer

    def close(self) -> None:
        self.closed.set()


class Talk:
    def __init__(self, channel: Channel | Exception) -> None:
        self.said: queue.SimpleQueue[tuple[Line, Report]] = queue.SimpleQueue()

        def open_(side: Side, address: Address, deadline: float) -> Channel:
            assert (side, address, deadline) == (Side.SOURCE, Address("a", 1), 7.0)
            if isinstance(channel, Exception):
                raise channel
            return channel

        self.line = Line(Side.SOURCE, Address("a", 1), open_, 7.0, self.said.put)
        self.line.start()

    def next(self) -> Report:
        return self.said.get(timeout=WITHIN_S)[1]

    def ask(self, request: Request | None = None) -> Report:
        self.line.ask(request or About(), 5.0)
        return self.next()

    def end(self) -> None:
        self.line.give_up()
        self.line.join(WITHIN_S)
        assert not self.line.is_alive()


def test_a_line_opens_answers_and_closes() -> None:
    channel = Scripted(encode_reply(REPLY), encode_reply(REPLY))
    talk = Talk(channel)
    assert talk.next() == Opened()
    assert talk.ask() == Answered(REPLY)
    assert talk.ask() == Answered(REPLY)
    talk.end()
    assert channel.closed.is_set()


def test_a_refusal_keeps_the_line_open() -> None:
    problem = MoverDied("x").problem(Side.CLIENT, Phase.PREPARE)
    talk = Talk(Scripted(RemoteProblem(problem), encode_reply(REPLY)))
    assert talk.next() == Opened()
    assert talk.ask() == Refused(problem.on(Side.SOURCE))
    assert talk.ask() == Answered(REPLY)
    talk.end()


def test_what_is_no_answer_is_a_refusal_by_violation() -> None:
    talk = Talk(Scripted({"unknown": 1}, ProtocolViolation("x")))
    assert talk.next() == Opened()
    for _ in range(2):
        refused = talk.ask()
        assert isinstance(refused, Refused)
        assert refused.problem.code == "protocol-violation"
    talk.end()


def test_a_broken_connection_is_told_as_lost() -> None:
    talk = Talk(Scripted(DaemonLost("gone")))
    assert talk.next() == Opened()
    assert talk.ask() == Failed(DaemonLost("gone").problem(Side.SOURCE, Phase.TRANSFER))
    talk.end()


def test_a_bug_is_told_as_one() -> None:
    talk = Talk(Scripted(KeyError("x")))
    assert talk.next() == Opened()
    refused = talk.ask()
    assert isinstance(refused, Refused)
    assert refused.problem.code == InternalError.code
    talk.end()


def test_who_cannot_be_reached_is_told_in_which_phase() -> None:
    for error, phase in ((Unreachable("x"), Phase.CONNECT), (DaemonLost("x"), Phase.AUTHENTICATE), (OSError(), None)):
        told = Talk(error).next()
        assert isinstance(told, NotOpened)
        assert phase is None or told.problem.phase is phase
        assert told.problem.side is Side.SOURCE


def test_a_line_that_waits_can_be_given_up() -> None:
    talk = Talk(Scripted("hang"))
    assert talk.next() == Opened()
    talk.line.ask(About(), 5.0)
    talk.end()


def test_a_line_that_is_given_up_while_it_opens_closes_what_it_gets() -> None:
    channel, may_open = Scripted(), threading.Event()

    def open_(_side: Side, _address: Address, _deadline: float) -> Channel:
        assert may_open.wait(WITHIN_S)
        return channel

    line = Line(Side.SOURCE, Address("a", 1), open_, 7.0, lambda _: None)
    line.start()
    line.give_up()
    may_open.set()
    line.join(WITHIN_S)
    assert channel.closed.is_set()
