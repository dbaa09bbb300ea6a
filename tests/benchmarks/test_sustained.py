"""How a rate over time is cut into quarters."""

from __future__ import annotations

import pytest

from benchmarks.sustained import quarters_of


def test_a_steady_rate_is_the_same_in_all_quarters() -> None:
    marks = [(float(second), second * 100) for second in range(5, 105)]
    assert quarters_of(marks, 10_400) == pytest.approx((100, 100, 100, 100))


def test_what_falls_is_seen_and_what_came_before_the_first_percent_is_not() -> None:
    marks = [
        (0.0, 5),
        *((10 + step, step * 100) for step in range(1, 51)),
        *((60 + 2 * step, 5000 + step * 100) for step in range(1, 51)),
    ]
    first, *_, last = quarters_of(marks, 10_000)
    assert first == pytest.approx(100, rel=0.05) and last == pytest.approx(50, rel=0.05)


def test_too_few_marks_say_nothing() -> None:
    assert quarters_of([(0.0, 1)], 100) == ()
    assert quarters_of([(float(second), second) for second in range(60)], 100) == ()
