"""What every storage back end promises to the mover; each runs through all of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fdtcp.errors import FdtError
from fdtd.storage.window import WINDOW_BYTES
from tests.contract.conftest import DestinationCase, SourceCase


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
        if opened.descriptor < 0:
            return  # everything goes through `read_into`
        with (tmp_path / "copy").open("wb") as copy:
            assert os.sendfile(copy.fileno(), opened.descriptor, 5, 1000) == 1000
        assert (tmp_path / "copy").read_bytes() == source.content[5:1005]
    finally:
        opened.close()


def test_a_reading_gives_what_an_open_source_gives_or_nothing(source: SourceCase) -> None:
    opened, reading = source.sources.open(source.path), source.sources.reading()
    try:
        facts = opened.facts()
        content = bytearray(len(source.content))
        seen = reading.read(source.path, memoryview(content)) if reading is not None else None
        if seen is not None:
            assert seen == (facts.size, facts.mtime_ns, facts.ctime_ns)
            assert content == source.content
    finally:
        opened.close()
        if reading is not None:
            reading.close()


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
        destination.write(partial, b"world", 6, 11)
        destination.write(partial, b"hello ", 0, 11)
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
            assert existing.size == 11
            assert not destination.dresses or (existing.mtime_ns, existing.mode) == (5, 0o640)
    finally:
        partial.close()


def test_a_removed_partial_leaves_nothing(destination: DestinationCase, tmp_path: Path) -> None:
    partial = destination.destinations.claim(destination.path, 0o600, journal=True)
    destination.write(partial, b"x")
    partial.append_journal(b"something")
    partial.remove()
    partial.close()
    assert destination.read() is None
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir()]
    assert destination.destinations.claim_left(destination.path) is None


def test_a_retracted_file_is_gone(destination: DestinationCase) -> None:
    partial = destination.destinations.claim(destination.path, 0o600, journal=False)
    partial.dress(0o600, 1)
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
    assert partial.is_resumable == destination.resumes
    destination.write(partial, b"abc")
    partial.append_journal(b"one")
    partial.append_journal(b"two")
    inode = partial.facts().identity
    partial.close()
    left = destination.destinations.claim_left(destination.path)
    if not destination.resumes:
        # There may be something to remove, but nothing that could be gone on from.
        if left is not None:
            assert left.read_journal() == b""
            left.remove()
            left.close()
        assert destination.destinations.claim_left(destination.path) is None
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
        destination.write(partial, content)
        partial.append_journal(b"something")
        partial.close()
    left = destination.destinations.claim_left(destination.path)
    if left is not None:
        left.remove()
        left.close()


def test_nothing_is_replaced_unless_asked_for(destination: DestinationCase) -> None:
    for content in (b"first", b"second"):
        partial = destination.destinations.claim(destination.path, 0o600, journal=False)
        destination.write(partial, content)
        partial.dress(0o600, 1)
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
    destination.write(partial, b"content")
    partial.dress(0o640, 1)
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


def test_what_was_damaged_on_the_way_is_not_there_when_it_came_again(destination: DestinationCase) -> None:
    partial = destination.destinations.claim(destination.path, 0o600, journal=True)
    try:
        partial.write(memoryview(b"dam"), 0)
        partial.write(memoryview(b"aged"), 3)  # never accepted: its checksum was wrong
        destination.write(partial, b" and more", 7, 16)
        partial.write(memoryview(b"whole"), 0)
        partial.write(memoryview(b"!!"), 5)
        partial.accept(0, 7, 16)
        partial.dress(0o600, 1)
        partial.publish(replace=False)
        if destination.keeps:
            assert destination.read() == b"whole!! and more"
    finally:
        partial.close()


def test_blocks_in_any_order_make_one_file(destination: DestinationCase) -> None:
    content = os.urandom(4000)
    blocks = [content[start : start + 500] for start in range(0, 4000, 500)]
    partial = destination.destinations.claim(destination.path, 0o600, journal=True)
    try:
        for number in (3, 1, 0, 7, 6, 2, 5, 4):
            destination.write(partial, blocks[number], number * 500, 4000)
        partial.dress(0o600, 1)
        partial.sync()
        partial.publish(replace=False)
        partial.sync_name()
        if destination.keeps:
            assert destination.read() == content
    finally:
        partial.close()


def test_who_needs_order_says_so_and_refuses_what_runs_too_far_ahead(destination: DestinationCase) -> None:
    assert destination.destinations.look(destination.path).window == (WINDOW_BYTES if destination.in_order else 0)
    partial = destination.destinations.claim(destination.path, 0o600, journal=True)
    try:
        if destination.in_order:
            assert partial.descriptor == -1
            partial.write(memoryview(b"x"), WINDOW_BYTES - 1)
            with pytest.raises(FdtError) as caught:
                partial.write(memoryview(b"xy"), WINDOW_BYTES - 1)
            assert caught.value.code == "protocol-violation"
    finally:
        partial.remove()
        partial.close()


def test_an_empty_file_is_a_file(destination: DestinationCase) -> None:
    partial = destination.destinations.claim(destination.path, 0o600, journal=False)
    partial.dress(0o600, 1)
    partial.sync()
    partial.publish(replace=False)
    partial.close()
    if destination.keeps:
        assert destination.read() == b""


def test_a_bundle_is_invisible_until_it_is_published_and_replaces_nothing(destination: DestinationCase) -> None:
    for content in (b"first", b"second"):
        bundle = destination.destinations.bundle()
        if bundle is None or destination.in_order:
            assert bundle is None or not bundle.write(destination.path, 0o640, 5, memoryview(b"refused"))
            return
        assert bundle.write(destination.path, 0o640, 5, memoryview(content))
        assert destination.read() == (None if content == b"first" else b"first")
        bundle.volume.sync()
        assert [error.code for error in bundle.publish().values()] == ["destination-exists"] * (content == b"second")
        bundle.volume.sync()
        bundle.settle()
        bundle.close()
        assert destination.read() == b"first"
        existing = destination.destinations.look(destination.path).existing
        assert existing is not None and (existing.mtime_ns, existing.mode) == (5, 0o640)


def test_a_bundle_that_is_closed_or_retracted_leaves_nothing(destination: DestinationCase) -> None:
    for publish in (False, True):
        bundle = destination.destinations.bundle()
        if bundle is None or destination.in_order:
            assert bundle is None or not bundle.write(destination.path, 0o640, 5, memoryview(b"refused"))
            return
        assert bundle.write(destination.path, 0o640, 5, memoryview(b"content"))
        if publish:
            bundle.publish()
            bundle.retract()
        bundle.close()
        assert destination.read() is None
        assert destination.destinations.claim_left(destination.path) is None
