from __future__ import annotations

import pytest

from fdtcp.agenda import GLANCE_EVERY_S, Agenda
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
    Watch,
)
from fdtcp.ends import End
from fdtcp.errors import ProtocolViolation, Side
from fdtcp.model.options import Options
from fdtcp.model.order import Action, Endpoint, Found, Policy, Verdict
from fdtcp.model.pfn import Pfn
from fdtcp.model.policy import Encrypt
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
    assert prepare == Listen(JOB, ("127.1.0.2",))
    endpoint = Endpoint("127.1.0.3", 54321)
    todo.take(prepare, ListenReply((endpoint,), b"s" * 32))
    start = todo.next_call(source, 0.0)
    assert start == Connect(JOB, (endpoint,), b"s" * 32)
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
        agenda().take(Listen(JOB, ()), ListenReply(endpoints, b""))


def found_and_wanted(todo: Agenda, *, source_encrypts: bool = False, destination_encrypts: bool = False) -> None:
    """Take the agenda to where the first file is wanted."""
    source, destination = ends()
    describe = todo.next_call(source, 0.0)
    todo.take(describe, DescribeReply((Found(0, 5, 1, 0o644),), ("127.1.0.2",), source_encrypts))
    destination.has_session = True
    expect = todo.next_call(destination, 0.0)
    todo.take(expect, ExpectReply((Verdict(0, Action.SEND),), ("127.1.0.3",), destination_encrypts))


def test_in_reverse_the_source_listens_and_the_destination_connects() -> None:
    transfers = [Transfer(Pfn.parse(b"fdt://a/x"), Pfn.parse(b"fdt://b/x"))]
    todo, (source, destination) = Agenda(JOB, transfers, Options(Policy(reverse=True))), ends()
    destination.has_session = True
    found_and_wanted(todo)
    listen = todo.next_call(source, 0.0)
    assert listen == Listen(JOB, ("127.1.0.3",), Side.SOURCE)
    endpoint = Endpoint("127.1.0.2", 54321)
    todo.take(listen, ListenReply((endpoint,), b"s" * 32))
    connect = todo.next_call(destination, 0.0)
    assert connect == Connect(JOB, (endpoint,), b"s" * 32, Side.DESTINATION)
    todo.take(connect, Done())
    assert isinstance(todo.next_call(source, 0.0), Release)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("who", ["user", "source", "destination"])
def test_streams_are_encrypted_if_anybody_wants_it(who: str, *, reverse: bool) -> None:
    policy = Policy(reverse=reverse, encrypt=Encrypt.YES if who == "user" else Encrypt.SITE)
    transfers = [Transfer(Pfn.parse(b"fdt://a/x"), Pfn.parse(b"fdt://b/x"))]
    todo, pair = Agenda(JOB, transfers, Options(policy)), ends()
    pair[1].has_session = True
    found_and_wanted(todo, source_encrypts=who == "source", destination_encrypts=who == "destination")
    listener, connector = pair if reverse else pair[::-1]
    listen = todo.next_call(listener, 0.0)
    assert isinstance(listen, Listen) and listen.encrypt
    endpoints = (Endpoint("127.1.0.2", 54321),)
    with pytest.raises(ProtocolViolation, match="listens for plain ones"):
        todo.take(listen, ListenReply(endpoints, b"s" * 32))
    with pytest.raises(ProtocolViolation, match="a fingerprint of 3 bytes"):
        todo.take(listen, ListenReply(endpoints, b"s" * 32, fingerprint=b"abc"))
    todo.take(listen, ListenReply(endpoints, b"s" * 32, fingerprint=b"f" * 32))
    connect = todo.next_call(connector, 0.0)
    assert isinstance(connect, Connect) and connect.fingerprint == b"f" * 32
