"""Keys of a store."""

from __future__ import annotations

import pytest

from fdtcp.errors import PathRefused
from fdtcp.model.order import Mapped
from fdtd.storage.mapping import PrefixMap
from fdtd.storage.store import key_of

MAP = PrefixMap([Mapped(b"/cloud", "s3://bucket/above")])


def test_a_key_is_the_path_below_the_prefix() -> None:
    assert key_of("/cloud//ä/b c#?".encode(), MAP) == "ä/b c#?"


@pytest.mark.parametrize("name", [b"\xff", b"a::b", b"s3://other/b"])
def test_names_that_a_store_cannot_have_are_refused(name: bytes) -> None:
    with pytest.raises(PathRefused):
        key_of(b"/cloud/" + name, MAP)
