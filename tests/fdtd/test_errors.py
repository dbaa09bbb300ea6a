"""The daemon's own errors."""

from __future__ import annotations

import pytest

from fdtcp.errors import Fault, FdtError, Phase, Side
from fdtd import errors

OWN = [
    thing
    for thing in vars(errors).values()
    if isinstance(thing, type) and issubclass(thing, FdtError) and thing.__module__ == errors.__name__
]


@pytest.mark.parametrize("cls", OWN)
def test_each_says_what_to_do_and_is_nobodys_bug(cls: type[FdtError]) -> None:
    problem = cls("it happened").problem(Side.SOURCE, Phase.SERVICE)
    assert problem.remedy
    assert problem.fault is not Fault.BUG


def test_what_is_full_or_leaving_can_be_tried_again() -> None:
    assert errors.TooManySessions.retryable and errors.NoDataAddress.retryable and errors.DaemonLeaving.retryable
    assert not errors.UnknownSession.retryable


def test_a_session_that_is_over_tells_the_first_reason() -> None:
    first = errors.NoDataAddress("none").problem(Side.DESTINATION, Phase.PREPARE)
    assert errors.SessionOver("over", cause=first).problem(Side.SOURCE, Phase.SERVICE) == first
    assert errors.SessionOver("over").problem(Side.SOURCE, Phase.SERVICE).code == "session-over"
