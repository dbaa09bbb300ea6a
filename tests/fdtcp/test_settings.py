from __future__ import annotations

from pathlib import Path

import pytest

from fdtcp.errors import BadSettings
from fdtcp.settings import load_settings

SPEC = [
    "[one]",
    "number = integer(min=1, max=5, default=2)",
    'size = size(default="4KiB")',
    'wait = duration(default="30s")',
    'even = even(default="2")',
    'evens = even_list(default=list("2"))',
    "needed = string(default=x)",
    "[two]",
    "[[inner]]",
    "flag = boolean(default=no)",
]


def even(text: str) -> int:
    if int(text) % 2:
        raise ValueError(f"{text} is odd; even numbers are allowed")
    return int(text)


def load(tmp_path: Path, text: str) -> dict[str, object]:
    path = tmp_path / "a.conf"
    path.write_text(text)
    return load_settings(str(path), SPEC, {"even": even})


def test_who_has_no_file_gets_the_defaults() -> None:
    sections = load_settings("", SPEC, {"even": even})
    assert sections["one"] == {"number": 2, "size": 4096, "wait": 30.0, "even": 2, "evens": [2], "needed": "x"}
    assert sections["two"]["inner"] == {"flag": False}


def test_values_are_read_and_checked(tmp_path: Path) -> None:
    sections = load(
        tmp_path, "[one]\nnumber = 5\nsize = 1MiB\nevens = 2, 4,\nneeded = 100%\n[two]\n[[inner]]\nflag = yes\n"
    )
    assert sections["one"] == {"number": 5, "size": 1 << 20, "wait": 30.0, "even": 2, "evens": [2, 4], "needed": "100%"}


def test_a_list_of_one_needs_no_comma(tmp_path: Path) -> None:
    one = load(tmp_path, "[one]\nevens = 4\n")["one"]
    assert isinstance(one, dict)
    assert one["evens"] == [4]


def test_all_bad_values_are_named_with_file_line_and_key(tmp_path: Path) -> None:
    with pytest.raises(BadSettings) as caught:
        load(tmp_path, "# comment\n[one]\nnumber = 9\neven = 3\n\nnumbr = 1\n[two]\n[[inner]]\nflag = perhaps\n")
    # The reason is one line of limited length; the details are all of it.
    text = "\n".join(caught.value.details)
    for line, key in ((3, "number"), (4, "even"), (6, "numbr"), (9, "flag")):
        assert f"line {line}: " in text
        assert key in text
    assert "even numbers are allowed" in text
    assert len(caught.value.details) == 4


@pytest.mark.parametrize("content", [b"[one\n", b"\xff\xfe\x00", b"[one]\nnumber = 1\nnumber = 2\n"])
def test_broken_files_are_refused_with_their_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.conf"
    path.write_bytes(content)
    with pytest.raises(BadSettings, match=r"broken\.conf"):
        load_settings(str(path), SPEC, {"even": even})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="nowhere"):
        load_settings(str(tmp_path / "nowhere"), SPEC, {"even": even})
