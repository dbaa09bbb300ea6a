"""Many transfers."""

from __future__ import annotations

import dataclasses

import pytest

from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer, Transfers

MANY = tuple(
    Transfer(Pfn.parse(source), Pfn.parse(destination), literal)
    for source, destination, literal in (
        (b"fdt://a//x", b"FDT://B:8444/y", True),
        (b"fdt://a/1", b"fdt://b///2", False),
        (b"fdt://c/\xff", b"fdt://b/z", True),
    )
)


def test_a_transfer_does_not_change_and_is_not_literal_unless_said() -> None:
    transfer = Transfer(Pfn.parse(b"fdt://a/x"), Pfn.parse(b"fdt://b/x"))
    assert not transfer.literal
    with pytest.raises(dataclasses.FrozenInstanceError):
        transfer.literal = True  # type: ignore[misc]  # that this fails is the point


def test_transfers_come_back_as_they_were() -> None:
    kept = Transfers.of(MANY)
    assert kept == MANY
    assert [(one.source.path, one.destination.path, one.literal) for one in kept] == [
        (one.source.path, one.destination.path, one.literal) for one in MANY
    ]
    assert [one.source.address for one in kept] == [one.source.address for one in MANY]
    assert len(kept.pairs) == 2
    assert Transfers.of(kept) is kept


def test_a_part_is_a_list_of_its_own() -> None:
    kept = Transfers.of(MANY)
    for places in ([], [0, 1], [1, 2], [2, 0], [2], [0, 1, 2]):
        part = kept.part(places)
        assert part == [MANY[place] for place in places]
        assert [one.destination.address for one in part] == [MANY[place].destination.address for place in places]
    assert kept[1:] == MANY[1:]
    assert kept.source_paths(0, 2) == [b"/x", b"/1"]
    assert kept.destination_paths(1, 3) == [b"/2", b"/z"]
