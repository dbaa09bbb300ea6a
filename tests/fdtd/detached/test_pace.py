"""So many at once, then one at a time."""

from __future__ import annotations

import pytest

from fdtd.detached import pace
from fdtd.detached.pace import Pace


def test_a_burst_is_granted_and_then_one_at_a_time() -> None:
    one = Pace(3, 10.0)
    assert [one.wait_for("me", 100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 10.0]
    assert one.wait_for("me", 105.0) == 5.0
    assert one.wait_for("me", 110.0) == 0.0
    assert one.wait_for("me", 110.0) == 10.0


def test_one_user_does_not_wait_for_another() -> None:
    one = Pace(1, 10.0)
    assert one.wait_for("me", 0.0) == 0.0
    assert one.wait_for("you", 0.0) == 0.0
    assert one.wait_for("me", 1.0) == 9.0


def test_who_was_quiet_has_his_burst_again_and_no_more() -> None:
    one = Pace(2, 10.0)
    assert [one.wait_for("me", now) for now in (0.0, 0.0, 1000.0, 1000.0, 1000.0)] == [0.0, 0.0, 0.0, 0.0, 10.0]


def test_names_are_forgotten_once_they_mean_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "MAX_NAMES", 2)
    one = Pace(1, 10.0)
    for number in range(100):
        assert one.wait_for(f"{number}", number * 10.0) == 0.0
    assert len(one._next) <= 2
