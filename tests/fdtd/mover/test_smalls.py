"""Small files on the writer's side: failures touch only the file that they are about."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.model.order import DestinationFile, Policy
from fdtd.mover.frames import Entry
from fdtd.mover.landing import Landing
from fdtd.mover.log import Log
from fdtd.mover.preflight import Decision, Preflight
from fdtd.mover.receiver import MAX_REFUSALS, Reply
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


def test_damage_is_refused_until_the_file_fails(landing: Landing) -> None:
    smalls = Smalls(landing)
    replies = []
    for _ in range(MAX_REFUSALS):
        assert smalls.begin(ENTRY)
        replies.append(smalls.damaged(ENTRY))
    assert replies == [Reply.NAK] * (MAX_REFUSALS - 1) + [Reply.DROP]
    assert not smalls.begin(ENTRY)
    assert [one.problem.code for one in landing.outcomes if one.problem] == ["checksum-mismatch"]


def test_a_directory_in_the_way_fails_the_file(landing: Landing, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / os.fsdecode(partial_name(b"file"))).mkdir()
    smalls = Smalls(landing)
    assert smalls.begin(ENTRY)
    smalls.write(ENTRY, memoryview(CONTENT))
    assert [one.problem.code for one in landing.outcomes if one.problem] == ["destination-blocked"]
    assert not landing.holdings and not landing.users


def test_a_changed_source_leaves_nothing(landing: Landing, tmp_path: Path) -> None:
    smalls = Smalls(landing)
    changed = ENTRY._replace(mtime_ns=6)
    assert smalls.begin(changed)
    smalls.write(changed, memoryview(CONTENT))
    assert [one.problem.code for one in landing.outcomes if one.problem] == ["source-changed"]
    assert not os.listdir(tmp_path / "to")
