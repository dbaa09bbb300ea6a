"""What all maps share; `test_gridmap.py` and `test_fqanmap.py` look at it through the maps."""

from __future__ import annotations

from authsvc.mapfile import read_lines


def accept(_name: str) -> None:
    return


def refuse(name: str) -> None:
    raise ValueError(f"{name} will not do")


def test_lines_come_in_their_order_with_their_accounts() -> None:
    text = '# comment\n"/a b" one,two\n\n/a three # why\n'
    assert read_lines(text, accept) == ([(2, "/a b", ("one", "two")), (4, "/a", ("three",))], [])


def test_a_name_that_is_none_is_a_problem_of_its_line() -> None:
    assert read_lines("\n/x alice\n", refuse) == ([], ["line 2: /x will not do"])
