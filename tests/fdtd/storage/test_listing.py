"""The names in a directory stand for many looks, as long as they can be believed and cost less."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fdtd.storage.kernel import list_names
from fdtd.storage.listing import Listing
from fdtd.storage.names import journal_name, partial_name


@contextmanager
def opened(directory: Path | str) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def names_in(directory: Path | str, looks: int = 64) -> set[bytes] | None:
    with opened(directory) as descriptor:
        return Listing().taken(descriptor, looks)


def test_of_partials_and_journals_it_has_the_names_of_their_files(tmp_path: Path) -> None:
    names = {b"file", b"with\nline", b"\xff", b".hidden.fdt-x.part"}
    for name in (*names, partial_name(b"one"), journal_name(b".other")):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    (tmp_path / "directory").mkdir()
    (tmp_path / "nowhere").symlink_to("missing")
    taken = names_in(tmp_path)
    assert taken is not None
    assert taken >= names | {b"one", b".other", b"directory", b"nowhere"}


def test_where_the_name_of_a_partials_file_cannot_be_told_each_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(partial_name(b"x" * 250))).touch()
    assert names_in(tmp_path) is None


def test_it_is_believed_for_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("fdtd.storage.listing.time.monotonic", lambda: clock[0])
    seen = Listing()
    with opened(tmp_path) as descriptor:
        assert seen.taken(descriptor, 64) == set()
        (tmp_path / "theirs").touch()
        clock[0] += 0.9
        assert seen.taken(descriptor, 64) == set()
        seen.add(b"ours")
        assert seen.taken(descriptor, 64) == {b"ours"}
        clock[0] += 0.1
        assert seen.taken(descriptor, 64) == {b"theirs"}
        assert not seen.drop_if_old()
        clock[0] += 1.0
        assert seen.drop_if_old()


def test_never_more_names_are_read_than_pay_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("fdtd.storage.listing.time.monotonic", lambda: clock[0])
    read = 0

    def count(descriptor: int, most: int) -> set[bytes] | None:
        nonlocal read
        found = list_names(descriptor, most)
        read += most if found is None else len(found)
        return found

    monkeypatch.setattr("fdtd.storage.listing.list_names", count)
    for number in range(2000):
        (tmp_path / str(number)).touch()
    seen, looks, believed = Listing(), 0, 0
    with opened(tmp_path) as descriptor:
        for _ in range(1000):
            clock[0] += 0.1
            looks += 1
            believed += seen.taken(descriptor, 1) is not None
            assert read <= 16 * looks
        assert 0 < believed < 200
        assert Listing().taken(descriptor, 125) is not None


def test_a_directory_that_takes_names_for_the_same_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1", "a", "A"):
        (tmp_path / name).touch()
    for listed, is_believed in (({b"A"}, False), ({b"B"}, True), ({b"a", b"A"}, True), ({b"1", b"\xe4"}, False)):
        monkeypatch.setattr("fdtd.storage.listing.list_names", lambda _directory, _most, listed=listed: set(listed))
        assert (names_in(tmp_path) is not None) is is_believed, listed
    monkeypatch.undo()
    (tmp_path / "a").unlink()
    (tmp_path / "A").unlink()
    assert names_in(tmp_path) == {b"1"}


def test_a_listing_of_another_kind_of_file_system_is_not_believed() -> None:
    assert names_in("/proc/self", 1 << 20) is None
