from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.fqanmap import FqanMap, FqanMapFile

TEXT = """
# the role first, the VO last
"/cms/Role=production" cmsprod,cms001
"/cms/uscms/*" uscms
"/cms/*" cms001
/atlas atlas
"""


def accounts(*fqans: str) -> tuple[str, ...]:
    found, problems = FqanMap.parse(TEXT)
    assert not problems
    return found.accounts_of(fqans)


@pytest.mark.parametrize(
    ("fqans", "expected"),
    [
        (("/cms/Role=production",), ("cmsprod", "cms001")),
        (("/cms/Role=production/Capability=NULL",), ("cmsprod", "cms001")),
        (("/cms",), ("cms001",)),
        (("/cms/Role=NULL/Capability=NULL",), ("cms001",)),
        (("/cms/Role=other",), ("cms001",)),
        (("/cms/uscms",), ("uscms",)),
        (("/cms/uscms/deep/Role=production",), ("uscms",)),
        (("/cms/uscmsx",), ("cms001",)),
        (("/atlas",), ("atlas",)),
        (("/atlas/Role=production",), ()),
        (("/cmsx",), ()),
        (("/other", "/cms"), ("cms001",)),
        (("/cms", "/cms/Role=production"), ("cms001", "cmsprod")),
        (("/cms/Role=production", "/cms"), ("cmsprod", "cms001")),
        ((), ()),
    ],
)
def test_the_first_line_of_each_fqan_counts_and_the_callers_order_decides(
    fqans: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert accounts(*fqans) == expected


@pytest.mark.parametrize("pattern", ["/*", "cms", "/cms/*/x", "/c*s", '"/cms/Role=a b"', "/cms/", "/cms//x", "*"])
def test_patterns_that_would_match_too_much_or_nothing_are_bad_lines(pattern: str) -> None:
    found, problems = FqanMap.parse(f"{pattern} alice\n")
    assert len(found) == 0
    assert problems[0].startswith("line 1: ")
    assert "/cms/Role=production" in problems[0]


@given(st.text(), st.lists(st.text()))
def test_no_text_breaks_the_parser_or_the_search(text: str, fqans: list[str]) -> None:
    FqanMap.parse(text)[0].accounts_of(fqans)


def test_a_changed_file_counts_at_once(tmp_path: Path) -> None:
    path = tmp_path / "map"
    path.write_text("/cms alice\n")
    found = FqanMapFile(str(path))
    assert found.accounts_of(["/cms"]) == ("alice",)
    path.write_text("/cms bob12\n")
    assert found.accounts_of(["/cms"]) == ("bob12",)
