"""Who carries a job's bytes, and what is remembered of those that did."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from fdtcp.model.order import StreamProgress
from fdtd.mover.roster import ENDED_TOLD, Roster, Solitude
from fdtd.mover.streams import Ending, StreamBroken, Wire


class FakeStream:
    """A stream that has carried so many bytes."""

    def __init__(self, number: int, moved: int = 10) -> None:
        self.number, self.moved = number, moved
        self.is_ended = False
        self.has_carried = True

    def run(self) -> Ending:
        return Ending.BROKEN if self.number % 2 else Ending.DONE

    def end(self) -> None:
        self.is_ended = True

    def progress(self) -> StreamProgress:
        return StreamProgress(self.number, "a", "b", self.moved, alive=False)


@pytest.fixture
def raw() -> Iterator[socket.socket]:
    with socket.socket() as raw:
        yield raw


def roster(most: int = 1000) -> Roster[FakeStream]:
    def make(_wire: Wire, number: int) -> FakeStream:
        return FakeStream(number)

    return Roster(make, most, lambda: None)


def test_streams_that_ended_are_forgotten_and_what_they_carried_is_not(raw: socket.socket) -> None:
    streams = roster()
    assert [streams.carry(raw, number, raw) for number in range(200)] == [Ending.DONE, Ending.BROKEN] * 100
    moved, told = streams.progress()
    assert moved == 2000 and streams.entered == 200 and not streams.streams
    assert [stream.stream for stream in told] == list(range(200 - ENDED_TOLD, 200))


def test_there_is_an_end_to_the_streams_of_a_job(raw: socket.socket) -> None:
    streams = roster(2)
    for number in range(2):
        streams.enter(FakeStream(number), raw)
    with pytest.raises(StreamBroken, match="2 streams already"):
        streams.enter(FakeStream(1000), raw)


def test_a_number_belongs_to_one_stream(raw: socket.socket) -> None:
    streams = roster()
    streams.enter(FakeStream(7), raw)
    with pytest.raises(StreamBroken, match="a stream 7 already"):
        streams.enter(FakeStream(7), raw)


def test_a_stream_whose_thread_hangs_is_no_stream_any_more(raw: socket.socket) -> None:
    streams, one = roster(), FakeStream(1)
    streams.enter(one, raw)
    streams.give_up(one)
    assert (streams.hung, streams.streams, streams.progress()[0]) == (1, [], 10)
    streams.leave(one)  # it has come back
    assert (streams.hung, streams.progress()[0]) == (0, 10)
    streams.give_up(one)
    assert streams.hung == 0


def test_all_can_be_ended(raw: socket.socket) -> None:
    streams, one = roster(), FakeStream(1)
    streams.enter(one, raw)
    streams.end_all()
    assert one.is_ended


def test_the_path_of_a_closed_socket_is_not_told(raw: socket.socket) -> None:
    streams = roster()
    streams.enter(FakeStream(1), raw)
    raw.close()
    assert streams.paths() == []


def test_solitude_counts_from_when_somebody_is_wanted(raw: socket.socket) -> None:
    streams = roster()
    solitude = Solitude(streams)
    assert solitude.seconds(1.0, is_wanted=False) == 0.0
    assert solitude.seconds(2.0, is_wanted=True) == 0.0
    assert solitude.seconds(5.0, is_wanted=True) == 3.0
    streams.carry(raw, 1, raw)  # it came and went between two looks
    assert solitude.seconds(6.0, is_wanted=True) == 0.0
    assert solitude.seconds(6.5, is_wanted=True) == 0.0
    assert solitude.seconds(7.0, is_wanted=True) == 0.5
