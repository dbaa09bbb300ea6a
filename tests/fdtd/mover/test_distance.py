"""How far it is decides how a job spreads."""

from __future__ import annotations

from fdtd.mover.distance import NEAR, Spread, spread_over


def test_near_by_there_are_few_streams_and_one_carries_the_small_files() -> None:
    assert spread_over(0.0001, 64) == NEAR == Spread(4, 1, 0)
    assert spread_over(0.0001, 2).streams == 2


def test_far_away_there_are_many_and_all_carry_everything() -> None:
    spreads = [spread_over(round_trip_s, 2) for round_trip_s in (0.005, 0.020, 0.3)]
    assert [spread.streams for spread in spreads] == [8, 16, 16]
    assert all(spread.batch_streams == spread.shares == spread.streams for spread in spreads)
