"""Portions begin small, grow with what was done, and shrink at once where files are slow."""

from __future__ import annotations

from fdtd.mover.portions import Portions


def test_where_files_take_no_time_portions_grow_to_the_largest() -> None:
    portions = Portions(1.0, 32, 4096)
    sizes = [portions.files]
    while sizes[-1] < 4096:
        portions.note(portions.files, 1e-6)
        sizes.append(portions.files)
    assert sizes[0] == 32 and sizes == sorted(sizes) and len(sizes) < 40


def test_a_portion_is_never_much_of_what_was_done_before() -> None:
    """What is quick at first may only have been put into a buffer."""
    portions = Portions(1.0, 16, 4096)
    portions.note(200, 0.0)
    assert portions.files == 50


def test_where_files_are_slow_a_portion_takes_the_time_that_it_may_take() -> None:
    portions = Portions(2.0, 64, 4096)
    portions.note(64, 12.8)
    assert portions.files == 10
    portions.note(10, 30.0)
    assert portions.files == 1
    for _ in range(10):
        portions.note(portions.files, portions.files * 0.01)
    assert portions.files == 200


def test_a_portion_that_nobody_has_heard_of_makes_the_next_ones_smaller_and_says_nothing_of_what_was_done() -> None:
    portions = Portions(2.0, 64, 4096)
    for _ in range(3):
        portions.note_unanswered(portions.files, 16.0)
    assert portions.files == 1
    portions.note(1, 1e-6)
    assert portions.files == 64, "it was the network"


def test_nothing_that_was_done_says_nothing() -> None:
    portions = Portions(2.0, 64, 4096)
    portions.note(0, 5.0)
    assert portions.files == 64


def test_the_first_portion_is_not_larger_than_the_largest() -> None:
    assert Portions(1.0, 64, 8).files == 8
