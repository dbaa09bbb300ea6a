"""Work is compared by what is to be done."""

from __future__ import annotations

from fdtd.mover.work import BatchWork, BlockWork


def test_work_is_a_value() -> None:
    assert BlockWork(1, 2, 3, payload=True) == BlockWork(1, 2, 3, payload=True) != BlockWork(1, 2, 3, payload=False)
    assert len({BatchWork((1,)), BatchWork((1,)), BatchWork((2,))}) == 2
