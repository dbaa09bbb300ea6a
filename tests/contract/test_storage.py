"""What every storage back end promises to the mover; each runs through all of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fdtcp.errors import FdtError
from fdtd.storage.base import Destinations, Sources
from fdtd.storage.choose import ChosenDestinations, ChosenSources
from fdtd.storage.null import NullDestinations
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_destination import PosixDestinations
from fdtd.storage.posix_source import PosixSources

ZERO_SIZE = 100_000


@dataclass
class SourceCase:
    """A back end with one file in it, and what the file contains."""

    sources: Sources
    path: bytes
    content: bytes
    missing: bytes | None


@dataclass
class DestinationCase:
    """A back end with room for one file, and how to read what is there (None: nothing)."""

    destinations: Destinations
    path: bytes
    read: Callable[[], bytes | None]
    keeps: bool  # whether what is written can be read again


@pytest.fixture
def prefixes(tmp_path: Path) -> Iterator[Prefixes]:
    with Prefixes([os.fsencode(tmp_path)]) as found:
        yield found


@pytest.fixture(params=["posix", "chosen", "zero"])
def source(request: pytest.FixtureRequest, prefixes: Prefixes, tmp_path: Path) -> Iterator[SourceCase]:
    content = os.urandom(ZERO_SIZE)
    (tmp_path / "file").write_bytes(content)
    path, missing = os.fsencode(tmp_path / "file"), os.fsencode(tmp_path / "missing")
    case = {
        "posix": lambda: SourceCase(PosixSources(prefixes), path, content, missing),
        "chosen": lambda: SourceCase(ChosenSources(prefixes, ZERO_SIZE), path, content, missing),
        "zero": lambda: SourceCase(ChosenSources(prefixes, ZERO_SIZE), b"/dev/zero", bytes(ZERO_SIZE), None),
    }[request.param]()
    yield case
    case.sources.close()


@pytest.fixture(params=["posix", "chosen", "null"])
def destination(request: pytest.FixtureRequest, prefixes: Prefixes, tmp_path: Path) -> Iterator[DestinationCase]:
    target = tmp_path / "new/directory/file"

    def read() -> bytes | None:
        return target.read_bytes() if target.exists() else None

    path = os.fsencode(target)
    case = {
        "posix": lambda: DestinationCase(PosixDestinations(prefixes), path, read, keeps=True),
        "chosen": lambda: DestinationCase(ChosenDestinations(prefixes), path, read, keeps=True),
        "null": lambda: DestinationCase(NullDestinations(), b"/dev/null", lambda: None, keeps=False),
    }[request.param]()
    yield case
    case.destinations.close()


def test_a_source_is_read_from_anywhere(source: SourceCase) -> None:
    opened = source.sources.open(source.path)
    try:
        assert opened.facts().size == len(source.content)
        for offset, length in ((0, 10), (99_990, 10), (50_000, 50_000)):
            buffer = memoryview(bytearray(length))
            assert opened.read_into(buffer, offset) == length
            assert bytes(buffer) == source.content[offset : offset + length]
    finally:
        opened.close()


def test_a_source_ends_where_it_ends(source: SourceCase) -> None:
    opened = source.sources.open(source.path)
    try:
        buffer = memoryview(bytearray(20))
        assert opened.read_into(buffer, len(source.content) - 5) == 5
        assert opened.read_into(buffer, len(source.content) + 5) == 0
    finally:
        opened.close()


def test_a_source_can_be_sent_by_the_kernel(source: SourceCase, tmp_path: Path) -> None:
    opened = source.sources.open(source.path)
    try:
        with (tmp_path / "copy").open("wb") as copy:
            assert os.sendfile(copy.fileno(), opened.descriptor, 5, 1000) == 1000
        assert (tmp_path / "copy").read_bytes() == source.content[5:1005]
    finally:
        opened.close()


def test_facts_do_not_change_by_themselves(source: SourceCase) -> None:
    one, other = source.sources.open(source.path), source.sources.open(source.path)
    try:
        first, second = one.facts(), other.facts()
        assert (first.size, first.mtime_ns) == (second.size, second.mtime_ns)
    finally:
        one.close()
        other.close()


def test_what_does_not_exist_is_an_error_with_a_code(source: SourceCase) -> None:
    if source.missing is not None:
        with pytest.raises(FdtError) as caught:
            source.sources.open(source.missing)
        assert caught.value.code == "source-missing"


def test_looking_creates_nothing(destination: DestinationCase, tmp_path: Path) -> None:
    site = destination.destinations.look(destination.path)
    assert site.existing is None and site.free > 0
    assert not list(tmp_path.iterdir())


def test_a_claimed_file_is_invisible_until_it_is_published(destination: DestinationCase) -> None:
    partial = destination.destinations.claim(destination.path, 0o600, journal=True)
    try:
        partial.write(memoryview(b"world"), 6)
        partial.write(memoryview(b"hello "), 0)
        partial.sync_data()
        assert destination.read() is None
        partial.dress(0o640, 5)
        partial.sync()
        partial.publish(replace=False)
        partial.sync_name()
        partial.volume.sync()
        partial.settle()
        if destination.keeps:
            assert destination.read() == b"hello world"
            existing = destination.destinations.look(destination.path).existing
            assert existing is not None
            assert (existing.size, existing.mtime_ns, existing.mode) == (11, 5, 0o640)
    finally:
        partial.close()


def test_a_removed_partial_leaves_nothing(destination: DestinationCase, tmp_path: Path) -> None:
    partial = destination.destinations.claim(destination.path, 0o600, journal=True)
    partial.write(memoryview(b"x"), 0)
    partial.append_journal(b"something")
    partial.remove()
    partial.close()
    assert destination.read() is None
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir()]
    assert destination.destinations.claim_left(destination.path) is None


def test_a_retracted_file_is_gone(destination: DestinationCase) -> None:
    partial = destination.destinations.claim(destination.path, 0o600, journal=False)
    partial.publish(replace=False)
    partial.retract()
    partial.close()
    assert destination.read() is None


def test_a_file_is_claimed_once(destination: DestinationCase) -> None:
    partial = destination.destinations.claim(destination.path, 0o600, journal=True)
    try:
        if destination.keeps:
            with pytest.raises(FdtError) as again:
                destination.destinations.claim(destination.path, 0o600, journal=True)
            with pytest.raises(FdtError) as left:
                destination.destinations.claim_left(destination.path)
            assert again.value.code == left.value.code == "destination-busy"
    finally:
        partial.remove()
        partial.close()


def test_what_is_left_can_be_continued(destination: DestinationCase) -> None:
    partial = destination.destinations.claim(destination.path, 0o600, journal=True)
    partial.write(memoryview(b"abc"), 0)
    partial.append_journal(b"one")
    partial.append_journal(b"two")
    inode = partial.facts().identity
    partial.close()
    left = destination.destinations.claim_left(destination.path)
    if not destination.keeps:
        assert left is None
        return
    assert left is not None
    assert (left.facts().identity, left.facts().size, left.read_journal()) == (inode, 3, b"onetwo")
    left.append_journal(b"three")
    assert left.read_journal() == b"onetwothree"
    left.publish(replace=False)
    left.close()
    assert destination.read() == b"abc"
    assert destination.destinations.claim_left(destination.path) is None


def test_claiming_anew_forgets_what_was_left(destination: DestinationCase) -> None:
    for content in (b"first and long", b"second"):
        partial = destination.destinations.claim(destination.path, 0o600, journal=True)
        assert partial.read_journal() == b""
        assert partial.facts().size == 0
        partial.write(memoryview(content), 0)
        partial.append_journal(b"something")
        partial.close()
    left = destination.destinations.claim_left(destination.path)
    if left is not None:
        left.remove()
        left.close()


def test_nothing_is_replaced_unless_asked_for(destination: DestinationCase) -> None:
    for content in (b"first", b"second"):
        partial = destination.destinations.claim(destination.path, 0o600, journal=False)
        partial.write(memoryview(content), 0)
        if content == b"second" and destination.keeps:
            with pytest.raises(FdtError) as caught:
                partial.publish(replace=False)
            assert caught.value.code == "destination-exists"
            assert destination.read() == b"first"
            partial.publish(replace=True)
            assert destination.read() == b"second"
        else:
            partial.publish(replace=False)
        partial.close()


def test_what_exists_is_compared_and_never_changed(destination: DestinationCase) -> None:
    partial = destination.destinations.claim(destination.path, 0o640, journal=False)
    partial.write(memoryview(b"content"), 0)
    partial.publish(replace=False)
    partial.close()
    if not destination.keeps:
        return
    existing = destination.destinations.open_existing(destination.path)
    before = existing.facts()
    buffer = memoryview(bytearray(7))
    assert existing.read_into(buffer, 0) == 7 and bytes(buffer) == b"content"
    existing.dress(0o777, 1)
    existing.sync()
    existing.publish(replace=True)
    existing.sync_name()
    existing.retract()
    existing.remove()
    existing.settle()
    assert existing.facts() == before
    existing.close()
    assert destination.read() == b"content"
