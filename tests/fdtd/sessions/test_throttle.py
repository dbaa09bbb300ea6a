"""What limits a session's rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdtcp.model import order
from fdtcp.model.order import SetRate
from fdtd.sessions import commands as do
from fdtd.sessions.throttle import Throttle, deal
from tests.helpers.sessions import WHY, session


@pytest.mark.parametrize(("limit", "share", "rate"), [(0, 0, 0), (5, 0, 5), (0, 7, 7), (5, 7, 5), (9, 7, 7)])
def test_the_lowest_limit_holds(limit: int, share: int, rate: int) -> None:
    assert Throttle(limit, share).rate == rate


@pytest.mark.parametrize(
    ("total", "limits", "shares"),
    [
        (0, [5, 0], [0, 0]),
        (10, [], []),
        (10, [0], [10]),
        (10, [0, 0], [5, 5]),
        (10, [2, 0, 0], [2, 4, 4]),
        (12, [0, 1, 3], [8, 1, 3]),
        (10, [100, 100], [5, 5]),
        (1, [0, 0, 0], [1, 1, 1]),
    ],
)
def test_what_one_does_not_want_goes_to_the_others(total: int, limits: list[int], shares: list[int]) -> None:
    assert deal(total, limits) == shares


@given(st.integers(1000, 10**12), st.lists(st.integers(0, 10**12), min_size=1, max_size=50))
def test_shares_never_exceed_the_total_nor_a_limit_and_nobody_gets_nothing(total: int, limits: list[int]) -> None:
    shares = deal(total, limits)
    assert sum(shares) <= total
    assert all(share > 0 and (not limit or share <= limit) for share, limit in zip(shares, limits, strict=True))


def test_a_mover_hears_of_a_rate_when_it_changes() -> None:
    one = session(rate_limit=10)
    assert one.slow_down(Throttle(10, 20)) == []
    news = one.news
    assert one.slow_down(Throttle(10, 4)) == [do.Send(SetRate(4))]
    assert one.slow_down(Throttle(0, 0)) == [do.Send(order.SetRate(0))]
    assert one.news == news + 2


def test_a_mover_that_stops_is_left_alone() -> None:
    one = session()
    one.stop(False, WHY, 1.0)
    assert one.slow_down(Throttle(5)) == []
    assert one.throttle.rate == 5
