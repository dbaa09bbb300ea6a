from __future__ import annotations

from contextlib import ExitStack

import pytest

from authsvc.channel.admissions import Admissions, Visit
from authsvc.channel.limits import ChannelLimits
from authsvc.errors import TooManyConnections


class House:
    """Admissions with visitors that remember being woken."""

    def __init__(self, **limits: int) -> None:
        self.admissions = Admissions(ChannelLimits(**limits))
        self.woken: list[str] = []

    def enter(self, name: str, address: str = "a") -> Visit:
        visit = Visit(address, lambda: self.woken.append(name))
        self.admissions.enter(visit)
        return visit


def test_the_longest_silent_stranger_of_an_address_makes_room() -> None:
    house = House(strangers_per_address=2)
    for name in ("1", "2", "3", "4"):
        house.enter(name)
    house.enter("other", "b")
    assert house.woken == ["1", "2"]
    assert len(house.admissions.everybody()) == 3


def test_when_the_house_is_full_the_address_with_most_strangers_pays() -> None:
    house = House(strangers=4)
    house.enter("honest", "b")
    for name in ("1", "2", "3", "4", "5"):
        house.enter(name)
    assert house.woken == ["1", "2"]


def test_a_known_caller_is_no_stranger_any_more_and_never_pays() -> None:
    house = House(strangers_per_address=1)
    visit = house.enter("known")
    with house.admissions.known(visit, "/CN=x"):
        house.enter("1")
        house.enter("2")
        assert house.woken == ["1"]
        assert visit in house.admissions.everybody()
    house.admissions.leave(visit)
    assert visit not in house.admissions.everybody()


def test_each_user_and_all_together_have_a_limit() -> None:
    house = House(connections=3, connections_per_dn=2)
    with ExitStack() as stack:
        for name in ("1", "2"):
            stack.enter_context(house.admissions.known(house.enter(name), "/CN=x"))
        with pytest.raises(TooManyConnections, match="/CN=x holds 2"):
            stack.enter_context(house.admissions.known(house.enter("3"), "/CN=x"))
        stack.enter_context(house.admissions.known(house.enter("4"), "/CN=y"))
        with pytest.raises(TooManyConnections, match="all 3"):
            stack.enter_context(house.admissions.known(house.enter("5"), "/CN=z"))
    with house.admissions.known(house.enter("6"), "/CN=x"):
        pass


def test_the_books_are_empty_when_all_have_left() -> None:
    house = House()
    visits = [house.enter(str(n), f"address {n}") for n in range(5)]
    with house.admissions.known(visits[0], "/CN=x"):
        pass
    for visit in visits:
        house.admissions.leave(visit)
        house.admissions.leave(visit)
    assert house.admissions.everybody() == []
    assert not house.admissions._per_address
    assert not house.admissions._per_dn
