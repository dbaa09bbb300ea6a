"""Small files on the writer's side: failures touch only the file that they are about."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.errors import ProtocolViolation
from fdtcp.model.order import DestinationFile, Policy
from fdtd.mover.commit import Item
from fdtd.mover.frames import Entry
from fdtd.mover.landing import Landing
from fdtd.mover.log import Log
from fdtd.mover.preflight import Decision, Preflight
from fdtd.mover.receiver import MAX_REFUSALS
from fdtd.mover.smalls import Smalls
from fdtd.storage.choose import ChosenDestinations
from fdtd.storage.names import partial_name
from fdtd.storage.paths import Prefixes

CONTENT = b"some bytes"
ENTRY = Entry(0, len(CONTENT), zlib.adler32(CONTENT), 5)


@pytest.fixture
def landing(tmp_path: Path) -> Iterator[Landing]:
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        destinations = ChosenDestinations(prefixes)
        made = Landing(Policy(), destinations, Log())
        file = DestinationFile(0, os.fsencode(tmp_path / "to/file"), len(CONTENT), 5, 0o640, b"s")
        decision: Decision = Preflight(made.policy, destinations).decide(file)
        made.expect(file, decision)
        yield made
        destinations.close()


def take(landing: Landing, entry: Entry = ENTRY, content: bytes = CONTENT) -> list[Entry]:
    return Smalls(landing).take([(entry, memoryview(content))])


def codes(landing: Landing) -> list[str]:
    return [one.problem.code for one in landing.outcomes if one.problem]


def test_damage_is_refused_until_the_file_fails(landing: Landing) -> None:
    damaged = b"?" * len(CONTENT)
    for _ in range(MAX_REFUSALS - 1):
        assert take(landing, content=damaged) == [ENTRY]
    assert take(landing, content=damaged) == []
    assert codes(landing) == ["checksum-mismatch"]
    assert take(landing) == [] and not landing.holdings and not landing.users


def test_a_directory_in_the_way_fails_the_file(landing: Landing, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / os.fsdecode(partial_name(b"file"))).mkdir()
    assert take(landing) == []
    assert codes(landing) == ["destination-blocked"]
    assert not landing.holdings and not landing.users


def test_a_changed_source_leaves_nothing(landing: Landing, tmp_path: Path) -> None:
    take(landing, ENTRY._replace(mtime_ns=6))
    assert codes(landing) == ["source-changed"]
    assert not os.listdir(tmp_path / "to")


def test_a_file_that_stands_twice_in_a_batch_is_written_once(landing: Landing, tmp_path: Path) -> None:
    items: list[Item] = []
    landing.on_verified = lambda item, _size: items.append(item)
    twice = [(ENTRY, memoryview(CONTENT)), (ENTRY, memoryview(b"?" * len(CONTENT)))]
    assert Smalls(landing).take(twice) == []
    (item,) = items
    item.partial.dress(item.mode, item.mtime_ns)
    item.partial.publish(replace=False)
    assert (tmp_path / "to/file").read_bytes() == CONTENT
    landing.committed([(item, None)])


def test_a_batch_with_a_file_of_nobody_is_refused_as_a_whole(landing: Landing, tmp_path: Path) -> None:
    with pytest.raises(ProtocolViolation):
        Smalls(landing).take([(ENTRY, memoryview(CONTENT)), (ENTRY._replace(file=7), memoryview(CONTENT))])
    assert not landing.users and not os.listdir(tmp_path)
