"""Names of temporary files fit everywhere and tell destinations apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fdtd.storage.names import is_temporary, journal_name, journal_of_partial, owner_of, partial_name

NAMES = st.binary(min_size=1, max_size=255).filter(lambda name: b"/" not in name and b"\0" not in name)


@given(NAMES)
def test_they_are_hidden_fit_and_belong_together(name: bytes) -> None:
    partial, journal = partial_name(name), journal_name(name)
    assert partial.startswith(b".") and partial.endswith(b".part")
    assert max(len(partial), len(journal)) <= 255
    assert journal_of_partial(partial) == journal


@given(NAMES, NAMES)
def test_different_names_have_different_partials(one: bytes, other: bytes) -> None:
    assert (partial_name(one) == partial_name(other)) is (one == other)


def test_long_names_that_begin_alike_are_told_apart() -> None:
    assert partial_name(b"x" * 254 + b"a") != partial_name(b"x" * 254 + b"b")


def test_temporary_names_are_known_and_others_are_not() -> None:
    for name in (b"x", b"\n", b"\xff" * 255):
        assert is_temporary(partial_name(name))
        assert is_temporary(journal_name(name))
    for name in (b".x.part", b"x.fdt-0123456789.part", b".x.fdt-0123456789", b".x.fdt-012345678.part", b"file"):
        assert not is_temporary(name)


@given(NAMES)
def test_a_temporary_name_tells_whose_it_is_unless_that_was_cut(name: bytes) -> None:
    owner = name if len(name) < 231 else None
    assert owner_of(partial_name(name)) == owner_of(journal_name(name)) == owner
