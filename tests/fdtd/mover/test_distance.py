"""How far it is decides how a job spreads."""

from __future__ import annotations

from fdtd.mover.distance import NEAR, Growth, Path, Spread, share_of, spread_over


def test_near_by_there_are_few_streams_and_one_carries_the_small_files() -> None:
    assert spread_over(0.0001, 64) == NEAR == Spread(4, 1, 0)
    assert spread_over(0.0001, 2).streams == 2


def test_far_away_there_are_many_and_all_carry_everything() -> None:
    spreads = [spread_over(round_trip_s, 2) for round_trip_s in (0.005, 0.020, 0.3)]
    assert [spread.streams for spread in spreads] == [8, 16, 16]
    assert all(spread.batch_streams == spread.shares == spread.streams for spread in spreads)


def test_the_end_of_a_file_is_cut_finer_only_far_away() -> None:
    mib = 1 << 20
    assert [share_of(left * mib, 0, 4 * mib) for left in (10_000, 1)] == [4 * mib] * 2
    assert [share_of(left * mib, 16, 4 * mib) for left in (10_000, 512, 128, 1)] == [4 * mib, 4 * mib, mib, mib // 4]


def paths(resent: int, round_trip_s: float = 0.1, congestion: str = "cubic") -> list[Path]:
    return [Path(round_trip_s, 0.1, resent, congestion)] * 16


def test_losses_without_a_queue_double_the_streams_while_that_pays() -> None:
    growth = Growth(64)
    assert growth.wanted(0.0, 16, 0, paths(0)) == 16
    assert growth.wanted(0.9, 16, 90, paths(1)) == 16, "too early to tell"
    assert growth.wanted(1.0, 16, 100, paths(1)) == 32
    assert growth.wanted(2.0, 32, 300, paths(2)) == 64
    assert growth.wanted(3.0, 64, 900, paths(3)) == 64, "nobody allows more"


def test_streams_stay_as_they_are_when_more_did_not_pay() -> None:
    growth = Growth(64)
    growth.wanted(0.0, 16, 0, paths(0))
    assert growth.wanted(1.0, 16, 100, paths(1)) == 32
    assert growth.wanted(2.0, 32, 210, paths(2)) == 32
    assert growth.wanted(3.0, 32, 900, paths(3)) == 32


def test_streams_are_given_the_time_to_open_before_they_are_judged() -> None:
    growth = Growth(64)
    growth.wanted(0.0, 16, 0, paths(0))
    assert growth.wanted(1.0, 16, 100, paths(1)) == 32
    growth.begin_anew()
    assert growth.wanted(5.0, 32, 500, paths(2)) == 32, "they have just come"
    assert growth.wanted(6.0, 32, 700, paths(3)) == 64


def test_bbr_is_not_held_back_by_losses() -> None:
    growth = Growth(64)
    growth.wanted(0.0, 16, 0, paths(0, congestion="bbr"))
    assert growth.wanted(1.0, 16, 100, paths(1, congestion="bbr")) == 16


def test_neither_a_clean_path_nor_a_full_one_wants_more_streams() -> None:
    growth = Growth(64)
    growth.wanted(0.0, 16, 0, paths(5))
    assert growth.wanted(1.0, 16, 100, paths(5)) == 16
    assert growth.wanted(2.0, 16, 200, paths(9, round_trip_s=0.14)) == 16
    assert growth.wanted(3.5, 16, 350, []) == 16
