"""The system calls that Python has no name for."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtd.storage import kernel


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "in/sub/file").write_bytes(b"x")
    (tmp_path / "in/link").symlink_to("sub")
    (tmp_path / "out").write_bytes(b"x")
    descriptor = os.open(tmp_path / "in", os.O_PATH)
    yield descriptor
    os.close(descriptor)


def test_opening_stays_beneath(directory: int) -> None:
    os.close(kernel.open_beneath(directory, b"sub/file", os.O_RDONLY))


@pytest.mark.parametrize(
    ("path", "number"),
    [
        (b"../out", errno.EXDEV),
        (b"/etc/passwd", errno.EXDEV),
        (b"link/file", errno.ELOOP),
        (b"link", errno.ELOOP),
        (b"missing", errno.ENOENT),
        (b"sub/file/below", errno.ENOTDIR),
    ],
)
def test_everything_else_is_refused(directory: int, path: bytes, number: int) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        kernel.open_beneath(directory, path, os.O_RDONLY)
    assert caught.value.errno == number


def test_renaming_never_replaces(directory: int, tmp_path: Path) -> None:
    (tmp_path / "in/a").write_bytes(b"a")
    (tmp_path / "in/b").write_bytes(b"b")
    with pytest.raises(FileExistsError):
        kernel.rename_without_clobber(directory, b"a", b"b")
    with pytest.raises(FileNotFoundError):
        kernel.rename_without_clobber(directory, b"missing", b"c")
    kernel.rename_without_clobber(directory, b"a", b"c")
    assert (tmp_path / "in/b").read_bytes() == b"b" and (tmp_path / "in/c").read_bytes() == b"a"


def test_a_whole_file_system_is_synced(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    kernel.sync_file_system(descriptor)
    os.close(descriptor)
    with pytest.raises(OSError, match="Bad file"):
        kernel.sync_file_system(descriptor)


def test_dumps_are_forbidden() -> None:
    code = (
        "import ctypes; from fdtd.storage.kernel import forbid_dumps; forbid_dumps();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    assert subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True).stdout == b"0\n"


def test_syncfs_is_believed_only_where_it_reports_what_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = os.open("/dev/shm", os.O_RDONLY)
    other = os.open("/proc", os.O_RDONLY)
    try:
        for release, is_honest in (("5.8.0-1-generic", True), ("6.18", True), ("5.7.19", False), ("4.18.0", False)):
            monkeypatch.setattr(os, "uname", lambda release=release: os.uname_result(("", "", release, "", "")))
            assert kernel.has_honest_syncfs(memory) is is_honest
            assert not kernel.has_honest_syncfs(other)
    finally:
        os.close(memory)
        os.close(other)
    monkeypatch.undo()
    with pytest.raises(OSError, match="Bad file"):
        kernel.has_honest_syncfs(other)


def test_room_is_reserved_where_it_is_cheap(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        if kernel.reserve_room(file.fileno(), 1 << 20):
            assert os.fstat(file.fileno()).st_size == 1 << 20
        with pytest.raises(OSError, match=r"File too large|No space"):
            kernel.reserve_room(file.fileno(), 1 << 62)
        kernel.start_write_back(file.fileno(), 0, 1 << 20)
    with pytest.raises(OSError, match="Bad file"):
        kernel.reserve_room(-1, 1)
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match="Illegal seek"):
            kernel.reserve_room(writing, 1)
    finally:
        os.close(reading)
        os.close(writing)


def test_writes_to_a_file_take_turns_where_that_is_known() -> None:
    for path, in_turn in (("/dev/shm", True), ("/proc", False)):
        descriptor = os.open(path, os.O_RDONLY)
        assert kernel.writes_in_turn(descriptor) is in_turn
        os.close(descriptor)


def test_memory_is_not_reserved_and_proc_is_no_disk() -> None:
    for path in ("/dev/shm", "/proc"):
        descriptor = os.open(path, os.O_RDONLY)
        assert not kernel.has_extents(descriptor)
        os.close(descriptor)


def test_a_directory_is_listed_up_to_a_bound(tmp_path: Path) -> None:
    names = {b"%05d" % number for number in range(1000)} | {b"\xff\n", b"x" * 255}
    for name in names:
        (tmp_path / os.fsdecode(name)).touch()
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        for most in (1002, 1 << 30):
            assert kernel.list_names(directory, most) == names
        assert kernel.list_names(directory, 1001) is None
    finally:
        os.close(directory)
    with (tmp_path / "00000").open("rb") as file, pytest.raises(OSError, match="Not a directory"):
        kernel.list_names(file.fileno(), 1)
