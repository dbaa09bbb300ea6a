from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.fqan import is_of_vo, is_vo_name, normalise


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("/atlas", "/atlas"),
        ("/atlas/Role=NULL/Capability=NULL", "/atlas"),
        ("/atlas/prod/Role=admin/Capability=NULL", "/atlas/prod/Role=admin"),
        ("/vo.example.org/a-b/Role=x", "/vo.example.org/a-b/Role=x"),
        ("/atlas/Capability=", "/atlas"),
    ],
)
def test_attributes_have_one_spelling(text: str, plain: str) -> None:
    assert normalise(text) == plain
    assert normalise(plain) == plain


@pytest.mark.parametrize(
    "text",
    ["", "atlas", "/", "//atlas", "/atlas/", "/atlas/../cms", "/atlas\n", "/at las", "/atlas/Role=", "/.hidden",
     "/atlas/Role=a/Role=b", "/Role=admin", "/atlas/Role=../x", "/" + "a" * 600, "/atlas/*", "/atlas/Role=a\0"],
)  # fmt: skip
def test_what_is_no_attribute_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no VOMS attribute"):
        normalise(text)


@pytest.mark.parametrize("name", ["", ".", "..", "../etc", "a/b", ".hidden", "a\0", "a" * 256, "a..b", "-rf", "a b"])
def test_a_path_is_no_vos_name(name: str) -> None:
    assert not is_vo_name(name)


def test_a_vo_speaks_for_itself_only() -> None:
    assert is_vo_name("vo.example.org")
    assert is_of_vo("/atlas", "atlas")
    assert is_of_vo("/atlas/Role=a", "atlas")
    assert not is_of_vo("/atlas2", "atlas")
    assert not is_of_vo("/cms/atlas", "atlas")


@given(st.text(max_size=40) | st.text("/aRole=.N", max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        plain = normalise(text)
    except ValueError:
        return
    assert normalise(plain) == plain
