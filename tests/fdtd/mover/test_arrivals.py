"""Where plain files are, and when they become files to be remembered."""

from __future__ import annotations

import pytest

from fdtcp.model.order import Action, Checksum, DestinationFile
from fdtd.mover.arrival import Arrival, State
from fdtd.mover.arrivals import Arrivals
from fdtd.mover.frames import Entry
from fdtd.mover.sums import sum_of

FILE = DestinationFile(3, b"/x", 10, 0, 0o644, b"s")
ENTRY = Entry(3, 10, 0, 0)


@pytest.fixture
def arrivals() -> Arrivals:
    made = Arrivals(lambda file: Arrival(file, Action.SEND, sum_of(Checksum.NONE), {}, []))
    made.expect_plain({3: FILE})
    return made


def test_a_plain_file_goes_from_hand_to_hand_and_is_no_arrival(arrivals: Arrivals) -> None:
    assert arrivals.take(3, 10) is FILE
    assert arrivals.is_taken([ENTRY]) and arrivals.take(3, 10) is None
    arrivals.give_back(FILE)
    assert not arrivals.is_taken([ENTRY]) and arrivals.take(3, 10) is FILE
    assert arrivals.settle(3)
    assert arrivals.take(3, 10) is None and not arrivals.settle(3)
    assert arrivals.known([4, 3]) == 3 and arrivals.known([4]) is None and not arrivals


def test_a_plain_file_has_its_size(arrivals: Arrivals) -> None:
    assert arrivals.take(3, 9) is None
    assert arrivals.take(3, 10) is FILE


@pytest.mark.parametrize("is_taken", [False, True])
def test_who_asks_for_a_plain_file_makes_an_arrival_of_it(arrivals: Arrivals, is_taken: bool) -> None:
    if is_taken:
        arrivals.take(3, 10)
    arrival = arrivals[3]
    assert arrival.file is FILE and arrivals[3] is arrival and arrival.state is State.EXPECTED
    assert not arrivals.settle(3), "its stream has lost it"
    arrivals.give_back(FILE)
    assert arrivals.take(3, 10) is None


def test_what_is_settled_stays_so_whoever_asks(arrivals: Arrivals) -> None:
    arrivals.take(3, 10)
    arrivals.settle(3)
    asked = arrivals[3]
    assert (asked.file.size, asked.state, asked.told) == (10, State.VERIFIED, State.VERIFIED)
    asked.move(State.FINAL)
    assert arrivals[3].state is State.VERIFIED


def test_a_settled_file_that_fails_is_remembered(arrivals: Arrivals) -> None:
    arrivals.take(3, 10)
    arrivals.settle(3)
    arrival = arrivals.unsettle(FILE)
    assert arrivals[3] is arrival and arrival.file is FILE and arrival.told is State.VERIFIED


def test_all_that_are_open_can_be_remembered(arrivals: Arrivals) -> None:
    for index in (4, 5):
        arrivals.expect_plain({index: DestinationFile(index, b"/y", 10, 0, 0o644, b"s")})
        arrivals.take(index, 10)
    arrivals.settle(4)
    arrivals.remember(lambda _file: True)
    assert sorted(arrivals) == [3, 5]


def test_nobody_knows_a_file_that_was_never_expected(arrivals: Arrivals) -> None:
    with pytest.raises(KeyError):
        arrivals[4]


def test_asking_where_a_plain_file_shall_be_leaves_it_plain(arrivals: Arrivals) -> None:
    assert arrivals.path(3) == b"/x" and not arrivals
    assert arrivals.take(3, 10) is FILE
    assert arrivals.path(3) == b"/x" and not arrivals
    assert arrivals.path(4) == b"a file"
    assert arrivals[3].file is FILE and arrivals.path(3) == b"/x"
