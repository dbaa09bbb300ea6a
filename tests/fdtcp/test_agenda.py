from __future__ import annotations

import pytest

from fdtcp.agenda import GLANCE_EVERY_S, Agenda
from fdtcp.contract import (
    Describe,
    DescribeReply,
    Done,
    Expect,
    ExpectReply,
    PrepareReceive,
    PrepareReceiveReply,
    Release,
    StartSend,
    Watch,
)
from fdtcp.ends import End
from fdtcp.errors import ProtocolViolation, Side
from fdtcp.model.options import Options
from fdtcp.model.order import Action, Endpoint, Found, Policy, Verdict
from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer

JOB = "ab" * 16
OPTIONS = Options(Policy(streams=3), ("127.1.0.2",), ("127.1.0.3",))


def agenda() -> Agenda:
    return Agenda(JOB, [Transfer(Pfn.parse(b"fdt://a/x"), Pfn.parse(b"fdt://b/x"))], OPTIONS)


def ends() -> tuple[End, End]:
    return End(Side.SOURCE), End(Side.DESTINATION)


def test_the_calls_come_in_their_order_and_carry_the_users_options() -> None:
    todo, (source, destination) = agenda(), ends()
    describe = todo.next_call(source, 0.0)
    assert isinstance(describe, Describe)
    assert (describe.policy, describe.addresses) == (OPTIONS.policy, ("127.1.0.2",))
    greeting = todo.next_call(destination, 0.0)
    assert isinstance(greeting, Expect)
    assert (greeting.files, greeting.last, greeting.addresses) == ((), False, ("127.1.0.3",))
    destination.has_session = True
    assert todo.take(greeting, ExpectReply(())) == ("writer ready", ())
    assert todo.take(describe, DescribeReply((Found(0, 5, 1, 0o644),), ("127.1.0.2",))) == ("described", ())
    expect = todo.next_call(destination, 0.0)
    assert isinstance(expect, Expect)
    assert expect.last
    todo.take(expect, ExpectReply((Verdict(0, Action.SEND),)))
    prepare = todo.next_call(destination, 0.0)
    assert prepare == PrepareReceive(JOB, ("127.1.0.2",))
    endpoint = Endpoint("127.1.0.3", 54321)
    todo.take(prepare, PrepareReceiveReply((endpoint,), b"s" * 32))
    start = todo.next_call(source, 0.0)
    assert start == StartSend(JOB, (endpoint,), b"s" * 32)
    todo.take(start, Done())
    assert todo.is_started
    assert isinstance(todo.next_call(source, 0.0), Release)
    assert isinstance(todo.next_call(source, 0.0), Watch)


def test_while_the_other_end_works_this_one_is_only_glanced_at() -> None:
    todo, (source, _) = agenda(), ends()
    todo.next_call(source, 0.0)
    source.watched_at = 10.0
    assert todo.next_call(source, 10.0 + GLANCE_EVERY_S / 2) is None
    glance = todo.next_call(source, 10.0 + GLANCE_EVERY_S)
    assert isinstance(glance, Watch)
    assert glance.wait == 0.0


def test_an_answer_to_something_else_is_a_violation() -> None:
    todo, (source, _) = agenda(), ends()
    with pytest.raises(ProtocolViolation, match="no answer to Describe"):
        todo.take(todo.next_call(source, 0.0), Done())


@pytest.mark.parametrize("number", [0, 17])
def test_a_destination_must_listen_somewhere_but_not_everywhere(number: int) -> None:
    endpoints = tuple(Endpoint("127.1.0.3", 50000 + port) for port in range(number))
    with pytest.raises(ProtocolViolation, match="endpoints"):
        agenda().take(PrepareReceive(JOB, ()), PrepareReceiveReply(endpoints, b""))
