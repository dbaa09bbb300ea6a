"""Lanes to a listener by hand: which addresses they take, and how long they try."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from fdtcp.errors import DataConnectFailed, ProtocolViolation
from fdtcp.model.order import Connect, Endpoint, Policy, Role, StreamProgress
from fdtd.mover.connecting import Lanes
from fdtd.mover.greeting import Greeting, answer
from fdtd.mover.log import Log
from fdtd.mover.roster import Roster
from fdtd.mover.streams import Ending, Wire
from tests.helpers.movers import SECRET

POLICY = Policy(connect_timeout=5.0)
GREETING = Greeting(Role.READER, bytes(16), POLICY.checksum, SECRET)


class Held:
    """A stream that lasts until it is let go."""

    def __init__(self, number: int) -> None:
        self.number, self.moved = number, 0
        self.ending = Ending.BROKEN
        self.let_go = threading.Event()

    def run(self) -> Ending:
        self.let_go.wait(10)
        return self.ending

    def end(self) -> None:
        self.let_go.set()

    def progress(self) -> StreamProgress:
        return StreamProgress(self.number, "", "", 0, alive=True)


def make_held(_wire: Wire, number: int) -> Held:
    return Held(number)


class Room:
    """A listener, and the lanes that lead to it."""

    def __init__(self, policy: Policy) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(5)
        self.roster: Roster[Held] = Roster(make_held, 10, lambda: None)
        self.in_vain = False
        self.accepted: list[socket.socket] = []
        order = Connect((Endpoint("127.0.0.1", self.server.getsockname()[1]),), (), SECRET)
        self.lanes = Lanes(
            *(order, policy, GREETING, self.roster, Log()), is_over=lambda: self.in_vain, wake=lambda: None
        )

    def let_in(self) -> int:
        stream, _ = self.server.accept()
        self.accepted.append(stream)
        return answer(stream, replace(GREETING, role=Role.WRITER), time.monotonic() + 5)

    def is_over(self) -> bool:
        self.roster.end_all()
        return self.lanes.is_over

    def close(self) -> None:
        self.in_vain = True
        # A stream may be let in at this very moment.
        wait_until(self.is_over)
        for stream in (*self.accepted, self.server):
            stream.close()


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room(POLICY)
    yield room
    room.close()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


def test_the_first_lane_opens_at_once_and_others_where_they_are_wanted(room: Room) -> None:
    room.lanes.open(3, lambda lanes: lanes < 2)
    assert len(room.lanes) == 2
    assert {room.let_in(), room.let_in()} == {1, 2}


def test_a_broken_stream_is_opened_again_under_another_number(room: Room) -> None:
    room.lanes.open(1, lambda _: True)
    numbers = [room.let_in()]
    wait_until(lambda: room.roster.streams)
    room.roster.end_all()
    numbers.append(room.let_in())
    assert numbers == [1, 2]


def test_a_stream_that_gives_way_has_a_successor_however_often(room: Room) -> None:
    room.lanes.open(1, lambda _: True)
    for number in range(1, 9):
        assert room.let_in() == number
        wait_until(lambda: room.roster.streams)
        (held,) = room.roster.streams
        held.ending = Ending.SPENT
        held.end()


def test_a_lane_that_hangs_is_replaced_and_does_not_come_back(room: Room) -> None:
    room.lanes.open(1, lambda _: True)
    room.let_in()
    wait_until(lambda: room.roster.streams)
    (hung,) = room.roster.streams
    room.roster.give_up(hung)
    room.lanes.replace(hung.number)
    assert room.let_in() == 2
    wait_until(lambda: room.roster.streams)
    hung.end()
    wait_until(lambda: not room.roster.hung)
    room.server.settimeout(0.5)
    with pytest.raises(TimeoutError):
        room.server.accept()


def test_a_lane_gives_up_when_nobody_answers() -> None:
    room = Room(Policy(connect_timeout=0.5))
    room.lanes.open(1, lambda _: True)
    wait_until(lambda: room.lanes.is_over)
    assert not room.roster.entered
    room.close()


def test_pairs_are_of_one_family() -> None:
    endpoints = (Endpoint("127.0.0.1", 1), Endpoint("::1", 1))
    roster: Roster[Held] = Roster(make_held, 10, lambda: None)
    order = Connect(endpoints, ("::1",), SECRET)
    lanes = Lanes(*(order, POLICY, GREETING, roster, Log()), is_over=lambda: True, wake=lambda: None)
    with pytest.raises(DataConnectFailed):
        lanes.open(1, lambda _: True)


def test_nowhere_to_connect_to_is_a_violation() -> None:
    roster: Roster[Held] = Roster(make_held, 10, lambda: None)
    with pytest.raises(ProtocolViolation):
        Lanes(*(Connect((), (), SECRET), POLICY, GREETING, roster, Log()), is_over=lambda: True, wake=lambda: None)
