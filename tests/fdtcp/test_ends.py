from __future__ import annotations

from fdtcp.ends import End, Link
from fdtcp.errors import MoverDied, Phase, Side, StreamsLost

FIRST = MoverDied("first").problem(Side.SOURCE, Phase.TRANSFER)
SECOND = StreamsLost("second").problem(Side.SOURCE, Phase.TRANSFER)


def test_the_first_problem_of_an_end_counts() -> None:
    end = End(Side.SOURCE)
    end.fail(FIRST)
    end.fail(SECOND)
    assert end.is_over
    assert end.problem == FIRST


def test_an_end_that_is_given_up_has_nothing_left_to_be_told() -> None:
    end = End(Side.SOURCE)
    end.give_up()
    assert (end.link, end.is_over, end.is_aborted, end.is_finished) == (Link.CLOSED, True, True, True)
    assert end.problem is None
