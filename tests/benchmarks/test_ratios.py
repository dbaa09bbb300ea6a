from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.ratios import Estimate, Verdict, estimate, ratio_of

RATES = st.lists(st.floats(0.1, 1e9), min_size=1, max_size=15)


@given(RATES)
def test_the_median_is_within_its_interval_and_the_interval_within_the_values(values: list[float]) -> None:
    found = estimate(values)
    assert min(values) <= found.low <= found.median <= found.high <= max(values)
    assert found.count == len(values)


def test_the_same_values_always_give_the_same_interval() -> None:
    assert estimate([1.0, 2.0, 5.0, 3.0]) == estimate([1.0, 2.0, 5.0, 3.0])


def test_a_ratio_is_taken_within_each_pair() -> None:
    # Both were twice as slow in the second round: nothing to do with them.
    assert ratio_of([8.0, 4.0, 8.0], [4.0, 2.0, 4.0]) == Estimate(2.0, 2.0, 2.0, 3)


def test_pairs_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio_of([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("target", "is_limit", "verdict"),
    [
        (1.0, False, Verdict.MET),
        (1.1, False, Verdict.OPEN),
        (1.3, False, Verdict.MISSED),
        (1.0, True, Verdict.MET),
        (0.9, True, Verdict.OPEN),
        (0.7, True, Verdict.MISSED),
    ],
)
def test_a_target_is_met_by_the_median_and_open_if_only_the_interval_reaches_it(
    target: float, is_limit: bool, verdict: Verdict
) -> None:
    assert Estimate(1.0, 0.8, 1.2, 7).verdict(target, is_limit=is_limit) is verdict
