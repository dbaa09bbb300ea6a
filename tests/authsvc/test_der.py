from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.der import OCTETS, OID, SEQUENCE, children, decode_oid, encode_oid, only, split, take, wrap


@given(st.integers(0, 0x1E), st.binary(max_size=70_000), st.binary(max_size=9))
def test_what_is_wrapped_can_be_taken(tag: int, content: bytes, rest: bytes) -> None:
    assert take(wrap(tag, content) + rest, tag) == (content, rest)
    assert split(wrap(tag, content) + rest) == (tag, content, rest)


@given(st.lists(st.binary(max_size=9), max_size=5))
def test_children_stand_side_by_side(contents: list[bytes]) -> None:
    assert children(b"".join(wrap(OCTETS, content) for content in contents), OCTETS) == contents


@given(st.tuples(st.integers(0, 2), st.integers(0, 39), st.integers(0, 1 << 70)))
def test_object_identifiers_come_back(arcs: tuple[int, int, int]) -> None:
    dotted = ".".join(map(str, arcs))
    assert decode_oid(encode_oid(dotted)) == dotted


@given(st.binary(max_size=40))
def test_any_bytes_are_split_or_refused(data: bytes) -> None:
    try:
        tag, content, rest = split(data)
    except ValueError:
        return
    assert wrap(tag, content) + rest == data, "there is one way to write an element"


@pytest.mark.parametrize(
    "data", ["", "30", "3080", "308400000000", "30820005", "3003aa", "1f8100", "308180" + "00" * 9]
)
def test_malformed_elements_are_refused(data: str) -> None:
    with pytest.raises(ValueError, match=r"element|length"):
        split(bytes.fromhex(data))


def test_another_kind_and_what_follows_are_refused() -> None:
    with pytest.raises(ValueError, match="another kind"):
        take(wrap(OID, b"x"), SEQUENCE)
    with pytest.raises(ValueError, match="follows"):
        only(wrap(OID, b"x") + b"\0", OID)
