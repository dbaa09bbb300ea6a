"""When streams are opened again, and when a job has had enough."""

from __future__ import annotations

import pytest

from fdtd.mover.retrying import Wear, pause_after


def test_pauses_grow_and_are_short_where_nobody_carries_the_job() -> None:
    with_others = [pause_after(failures, None) for failures in (1, 2, 3, 10, 10_000)]
    assert with_others == [0.3, 0.6, 1.2, 30.0, 30.0]
    alone = [pause_after(failures, 10.0) for failures in (1, 2, 10, 10_000)]
    assert alone == [0.3, 0.6, 2.0, 2.0]
    assert pause_after(10, 1.0) == pytest.approx(0.2), "several attempts fit into any patience"


def test_three_breaks_a_minute_for_each_lane_are_allowed_and_no_more() -> None:
    wear = Wear()
    assert [wear.broke(float(now), 2) for now in range(6)] == [0.0] * 6
    assert wear.broke(10.0, 2) == 50.0, "when the first of them is forgotten"
    assert wear.broke(59.0, 2) == 1.0
    assert wear.broke(60.0, 2) == 0.0
    assert wear.broke(60.5, 2) == 0.5


def test_more_lanes_may_have_more_breaks() -> None:
    wear = Wear()
    assert [wear.broke(0.0, 16) for _ in range(48)] == [0.0] * 48
    assert wear.broke(0.0, 16) > 0


def test_a_way_that_lets_nothing_through_is_known_by_streams_that_end_barren_one_behind_the_other() -> None:
    wear = Wear()
    assert not wear.is_barren(0)
    for is_barren in (*[True] * 7, False, *[True] * 7):
        wear.ended(is_barren=is_barren)
        assert not wear.is_hopeless(1)
        assert wear.is_barren(1) is is_barren
    wear.ended(is_barren=True)
    assert wear.is_hopeless(1) and not wear.is_hopeless(2)
