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
from fdtd.mover.connecting import Doing, Lanes, pairs_of
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
        self.has_carried = True
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
        self.policy = policy
        self.make_lanes((Endpoint("127.0.0.1", self.server.getsockname()[1]),))

    def make_lanes(self, endpoints: tuple[Endpoint, ...]) -> None:
        order = Connect(endpoints, (), SECRET)
        self.lanes = Lanes(
            *(order, self.policy, GREETING, self.roster, Log()), is_over=lambda: self.in_vain, wake=lambda: None
        )

    def let_in(self) -> int:
        stream, _ = self.server.accept()
        self.accepted.append(stream)
        return answer(stream, replace(GREETING, role=Role.WRITER), time.monotonic() + 5)

    def is_over(self) -> bool:
        self.roster.end_all()
        return all(lane.doing is Doing.OVER for lane in self.lanes._lanes)

    def close(self) -> None:
        self.in_vain = True
        self.server.close()
        # A stream may be let in at this very moment.
        wait_until(self.is_over)
        for stream in self.accepted:
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


def test_a_lane_does_not_give_up_while_the_job_lasts(room: Room) -> None:
    """An interface that was away for an hour comes back; the crossing says when a job has had enough."""
    room.server.close()
    room.lanes.open(1, lambda _: True)
    (lane,) = room.lanes._lanes
    wait_until(lambda: lane.failures >= 3)
    room.server = socket.create_server(("127.0.0.1", lane.home[0].port))
    room.server.settimeout(5)
    assert room.let_in() > 3


def test_a_lane_goes_back_to_its_own_pair_and_tries_others_only_while_nobody_carries_the_job(room: Room) -> None:
    dead, alive = Endpoint("127.0.0.9", 1), Endpoint("127.0.0.1", room.server.getsockname()[1])
    room.make_lanes((dead, alive))
    room.lanes.open(1, lambda _: True)
    assert room.let_in() == 2, "its own pair is dead, and no other stream is there"
    room.lanes.open(2, lambda _: True)
    room.let_in()
    wait_until(lambda: len(room.roster.streams) == 2)
    first = room.lanes._lanes[0]
    (held,) = [stream for stream in room.roster.streams if stream.number == first.number]
    held.end()
    wait_until(lambda: first.failures >= 2)
    room.server.settimeout(0.2)
    with pytest.raises(TimeoutError):
        room.server.accept()


def test_a_job_has_had_enough_of_streams_that_bring_nothing_through(room: Room) -> None:
    room.lanes.open(1, lambda _: True)
    for _ in range(3):
        assert not room.lanes.is_worn
        room.let_in()
        wait_until(lambda: room.roster.streams)
        (held,) = room.roster.streams
        held.ending, held.has_carried = Ending.BARREN, False
        held.end()
        wait_until(lambda: not room.roster.streams)
    wait_until(lambda: room.lanes.is_barren and not room.lanes.is_hopeless)
    sizes = [stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) for stream in room.accepted]
    assert [size <= 1220 for size in sizes] == [False, True, False], "every other one has small packets"


def test_pairs_are_of_one_family_and_those_with_lanes_come_first() -> None:
    one, other, six = Endpoint("127.0.0.1", 1), Endpoint("127.0.0.2", 1), Endpoint("::1", 1)
    assert pairs_of(Connect((one, six), (), SECRET)) == ((one, ""), (six, ""))
    assert pairs_of(Connect((one, six), ("::1",), SECRET)) == ((six, "::1"),)
    assert pairs_of(Connect((one, other), ("127.1.0.1", "127.1.0.2"), SECRET)) == (
        (one, "127.1.0.1"),
        (other, "127.1.0.2"),
        (one, "127.1.0.2"),
        (other, "127.1.0.1"),
    )
    with pytest.raises(DataConnectFailed):
        pairs_of(Connect((one,), ("::1",), SECRET))


def test_nowhere_to_connect_to_is_a_violation() -> None:
    roster: Roster[Held] = Roster(make_held, 10, lambda: None)
    with pytest.raises(ProtocolViolation):
        Lanes(*(Connect((), (), SECRET), POLICY, GREETING, roster, Log()), is_over=lambda: True, wake=lambda: None)
