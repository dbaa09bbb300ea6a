"""Transfers from memory to memory."""

from __future__ import annotations

import pytest

from fdtcp.errors import DestinationVanished
from fdtd.storage.null import NULL, NullDestinations, ZeroSource


def test_zeros_take_no_memory_and_have_no_history() -> None:
    source = ZeroSource(1 << 40)
    facts = source.facts()
    assert (facts.size, facts.mtime_ns) == (1 << 40, 0)
    buffer = memoryview(bytearray(b"x" * 10))
    assert source.read_into(buffer, (1 << 40) - 10) == 10
    assert bytes(buffer) == bytes(10)
    source.close()


def test_the_null_device_never_contains_anything() -> None:
    destinations = NullDestinations()
    assert destinations.look(NULL).existing is None
    with pytest.raises(DestinationVanished):
        destinations.open_existing(NULL)
