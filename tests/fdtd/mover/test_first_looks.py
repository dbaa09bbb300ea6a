"""What pre-flight found of files, by columns."""

from __future__ import annotations

import pytest

from fdtcp.errors import ProtocolViolation
from fdtd.mover.first_looks import FirstLooks, Known

LOOK = (10, 20, 30, 0o644, 40)


@pytest.fixture
def looks() -> FirstLooks:
    made = FirstLooks()
    made.note([1, 2], [b"/1", b"/2"], [LOOK, (11, 21, 31, 0o600, 1 << 63)])
    made.note([7, 5], [b"/7", b"/5"], [LOOK, (15, 25, 35, 0o600, 0)])
    return made


def test_each_file_has_what_was_found_of_it(looks: FirstLooks) -> None:
    assert looks[1] == Known(b"/1", 10, 20, 30, 40)
    assert looks[2] == Known(b"/2", 11, 21, 31, 1 << 63)
    assert looks[5] == Known(b"/5", 15, 25, 35, 0)
    assert list(looks.sizes([1, 2])) == [10, 11] and list(looks.sizes([5, 1])) == [15, 10]
    assert list(looks.facts([5, 2])) == [(5, b"/5", 15, 25, 35), (2, b"/2", 11, 21, 31)]


def test_others_are_not_known(looks: FirstLooks) -> None:
    assert [file for file in range(-1, 10) if file in looks] == [1, 2, 5, 7]
    assert looks.unknown([1, 2]) is None and looks.unknown([7, 5]) is None and looks.unknown([]) is None
    assert looks.unknown([1, 2, 3]) == 3 and looks.unknown([7, 8]) == 8 and looks.unknown([6, 5]) == 6
    with pytest.raises(KeyError):
        looks[3]


def test_no_file_is_described_twice(looks: FirstLooks) -> None:
    with pytest.raises(ProtocolViolation, match="file 5 "):
        looks.note([4, 5], [b"/4", b"/5"], [LOOK, LOOK])
    assert 4 not in looks and looks[5].size == 15


def test_nothing_is_over_at_first(looks: FirstLooks) -> None:
    assert not any(looks.over[file] for file in (1, 2, 5, 7))
