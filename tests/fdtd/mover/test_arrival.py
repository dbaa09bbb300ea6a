"""The moves of one file."""

from __future__ import annotations

import pytest

from fdtcp.model.order import Action, Checksum, DestinationFile
from fdtd.mover.arrival import MOVES, Arrival, State
from fdtd.mover.sums import sum_of


def arrival() -> Arrival:
    return Arrival(DestinationFile(0, b"/x", 10, 0, 0o644, b"s"), Action.SEND, sum_of(Checksum.NONE), {}, [])


def test_a_move_that_is_not_in_the_table_is_an_error_of_ours() -> None:
    for state, targets in MOVES.items():
        for target in State:
            one = arrival()
            one.state = state
            if target in targets:
                one.move(target)
                assert one.state is target
            else:
                with pytest.raises(AssertionError):
                    one.move(target)


def test_what_is_settled_waits_for_nothing_more() -> None:
    one = arrival()
    assert one.is_open
    one.settle()
    assert (one.is_open, one.told) == (False, State.VERIFIED)
