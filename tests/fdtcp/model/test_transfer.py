from __future__ import annotations

import dataclasses

import pytest

from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer


def test_a_transfer_does_not_change_and_is_not_literal_unless_said() -> None:
    transfer = Transfer(Pfn.parse(b"fdt://a/x"), Pfn.parse(b"fdt://b/x"))
    assert not transfer.literal
    with pytest.raises(dataclasses.FrozenInstanceError):
        transfer.literal = True  # type: ignore[misc]  # that this fails is the point
