"""Many files that are read one behind the other, and what is left to who can say what is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_reading import _MOST_DIRECTORIES, PosixReading
from fdtd.storage.posix_source import PosixSources

CONTENT = b"content"


@pytest.fixture
def reading(tmp_path: Path) -> Iterator[PosixReading]:
    (tmp_path / "in/sub").mkdir(parents=True)
    for name in ("file", "other", "sub/file", "empty"):
        (tmp_path / "in" / name).write_bytes(CONTENT if name != "empty" else b"")
    with Prefixes([os.fsencode(tmp_path / "in")]) as prefixes:
        sources = PosixSources(prefixes)
        made = sources.reading()
        yield made
        made.close()
        sources.close()


def read(reading: PosixReading, path: Path | str, size: int = len(CONTENT)) -> tuple[tuple[int, ...] | None, bytes]:
    buffer = bytearray(size)
    return reading.read(os.fsencode(path), memoryview(buffer)), bytes(buffer)


def test_a_file_is_read_and_looked_at(reading: PosixReading, tmp_path: Path) -> None:
    for name in ("file", "sub/file", "other"):
        status = (tmp_path / "in" / name).stat()
        seen = (len(CONTENT), status.st_mtime_ns, status.st_ctime_ns)
        assert read(reading, tmp_path / "in" / name) == (seen, CONTENT)
    seen_empty, _ = read(reading, tmp_path / "in/empty", 0)
    assert seen_empty is not None and seen_empty[0] == 0


def test_a_look_finds_what_a_read_finds(reading: PosixReading, tmp_path: Path) -> None:
    for name in ("file", "sub/file", "empty"):
        status = (tmp_path / "in" / name).stat()
        look = reading.look(os.fsencode(tmp_path / "in" / name))
        assert look == (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode & 0o777, status.st_dev)


def test_what_only_an_open_can_tell_is_not_looked_at(reading: PosixReading, tmp_path: Path) -> None:
    (tmp_path / "in/link").symlink_to("file")
    (tmp_path / "in/linked").symlink_to("sub")
    (tmp_path / "outside").write_bytes(CONTENT)
    os.mkfifo(tmp_path / "in/pipe")
    for name in ("in/link", "in/linked/file", "in/none", "in/sub", "in/pipe", "outside", "in/../outside", "none/x"):
        assert reading.look(os.fsencode(tmp_path / name)) is None, name
    for name in ("", ".", "..", "nul\0"):
        assert reading.look(os.fsencode(f"{tmp_path}/in/{name}")) is None, name
    assert reading.look(os.fsencode(f"{tmp_path}/in/sub/.")) is None
    assert reading.look(os.fsencode(f"{tmp_path}/in/sub/file")) is not None, "a name that is none does not mislead"


@pytest.mark.parametrize(
    ("mode", "own", "asked", "is_found"),
    [
        (0o400, True, False, True),
        (0o000, True, True, False),
        (0o044, False, True, True),
        (0o000, False, True, False),
    ],
)
def test_the_mode_says_what_an_account_may_do_with_its_own_files_and_the_kernel_all_else(
    reading: PosixReading,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: int,
    own: bool,
    asked: bool,
    is_found: bool,
) -> None:
    (tmp_path / "in/file").chmod(mode)
    calls = []

    def access(name: bytes, _mode: int, **_values: object) -> bool:
        calls.append(name)
        return is_found

    monkeypatch.setattr("fdtd.storage.posix_reading.os.access", access)
    if not own:
        monkeypatch.setattr(reading, "_account", os.geteuid() + 1)
    assert (reading.look(os.fsencode(tmp_path / "in/file")) is not None) == is_found
    assert calls == [b"file"] * asked


def test_files_of_many_directories_do_not_keep_them_all_open(reading: PosixReading, tmp_path: Path) -> None:
    for number in range(3 * _MOST_DIRECTORIES):
        path = tmp_path / f"in/{number}/file"
        path.parent.mkdir()
        path.write_bytes(CONTENT)
        assert reading.look(os.fsencode(path)) is not None
        assert read(reading, path)[1] == CONTENT
        assert len(reading._open) <= _MOST_DIRECTORIES


def test_a_file_that_is_longer_says_so(reading: PosixReading, tmp_path: Path) -> None:
    seen, content = read(reading, tmp_path / "in/file", 3)
    assert seen is not None and seen[0] == len(CONTENT) and content == CONTENT[:3]


def test_what_is_not_plain_is_left_to_others(reading: PosixReading, tmp_path: Path) -> None:
    (tmp_path / "in/link").symlink_to("file")
    (tmp_path / "in/linked").symlink_to("sub")
    (tmp_path / "outside").write_bytes(CONTENT)
    os.mkfifo(tmp_path / "in/pipe")
    shorter = tmp_path / "in/file", len(CONTENT) + 1
    assert read(reading, *shorter)[0] is None
    for name in ("in/link", "in/linked/file", "in/none", "in/sub", "in/pipe", "outside", "in/../outside", "none/x"):
        assert read(reading, tmp_path / name)[0] is None, name
    for name in ("", ".", "..", "nul\0"):
        assert read(reading, f"{tmp_path}/in/{name}")[0] is None, name


def test_a_token_allows_only_what_it_names(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(CONTENT)
    with Prefixes([os.fsencode(tmp_path)], [os.fsencode(tmp_path / "one")]) as prefixes:
        sources = PosixSources(prefixes)
        reading = sources.reading()
        assert read(reading, tmp_path / "one")[0] is not None
        assert read(reading, tmp_path / "two")[0] is None, "also from a directory that is open"
        reading.close()
        sources.close()


def test_other_storage_is_not_read_here(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        sources = PosixSources(prefixes)
        reading = sources.reading(lambda _path: False)
        assert read(reading, tmp_path / "file")[0] is None
        reading.close()
        sources.close()
