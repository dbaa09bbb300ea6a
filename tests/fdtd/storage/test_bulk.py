"""Which road large files take to their disk, and that each of them leads there whole."""

from __future__ import annotations

import errno
import mmap
import os
import threading
from pathlib import Path

import pytest

from fdtcp.errors import DestinationFull
from fdtcp.model.order import Direct
from fdtd.storage import bulk, posix_partial
from fdtd.storage.bulk import DIRECT_BYTES, LARGE_BYTES, Bulk, wants_direct
from fdtd.storage.posix_partial import PosixPartial

MEMORY = 1 << 30


def pages(content: bytes) -> memoryview:
    view = memoryview(mmap.mmap(-1, len(content), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    view[:] = content
    return view


@pytest.mark.parametrize(
    ("direct", "written", "has_extents", "wanted"),
    [
        (Direct.AUTO, MEMORY // 8 + 1, True, True),
        (Direct.AUTO, MEMORY // 8, True, False),  # the page cache may keep it
        (Direct.AUTO, MEMORY, False, False),  # nobody has measured that file system
        (Direct.YES, 1, False, True),
        (Direct.NO, 1 << 50, True, False),
    ],
)
def test_what_is_much_for_the_memory_goes_past_the_page_cache(
    monkeypatch: pytest.MonkeyPatch, direct: Direct, written: int, has_extents: bool, wanted: bool
) -> None:
    monkeypatch.setattr(bulk, "allowed_memory", lambda: MEMORY)
    assert wants_direct(direct, LARGE_BYTES, written, has_extents=has_extents) is wanted


def test_several_files_are_together_as_much_as_one(partial: PosixPartial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "allowed_memory", lambda: 20 * LARGE_BYTES)
    monkeypatch.setattr(posix_partial, "reserve_room", lambda *_: True)
    partial._system.has_extents = True
    seen = []
    for _ in range(4):
        partial.reserve(LARGE_BYTES, Direct.AUTO)
        seen.append(partial.direct_bytes > 0)
        assert partial._bulk is not None
        partial._bulk.close()
    # Where the file system of the tests refuses direct writes, none of them is.
    assert seen in ([False, False, True, True], [False] * 4)
    partial._bulk = None


def test_a_small_file_is_small_also_where_there_is_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "allowed_memory", lambda: 0)
    assert not wants_direct(Direct.AUTO, LARGE_BYTES - 1, LARGE_BYTES, has_extents=True)


@pytest.mark.parametrize("direct", [Direct.YES, Direct.NO])
def test_only_what_goes_past_the_page_cache_is_written_side_by_side(partial: PosixPartial, direct: Direct) -> None:
    partial.turn = threading.Lock()  # as on the file systems that are known
    partial.reserve(LARGE_BYTES, direct)
    assert (partial.turn is None) is (partial.direct_bytes > 0)


@pytest.mark.parametrize("direct", [Direct.YES, Direct.NO])
def test_bytes_at_any_place_arrive(partial: PosixPartial, tmp_path: Path, direct: Direct) -> None:
    content = os.urandom((1 << 20) + 1234)
    partial.reserve(len(content), direct)
    for start, end in ((0, 8192), (8192, 8192 + 100), (8192 + 100, 65536), (65536, len(content))):
        partial.write(pages(content[start:end]), start)
        partial.accept(start, end - start, len(content))
    partial.write(memoryview(content)[4096 + 1 : 8192], 4096 + 1)  # from memory that no disk would take
    partial.dress(0o600, 1)
    partial.sync()
    partial.publish(replace=False)
    assert (tmp_path / "file").read_bytes() == content


def test_where_direct_writes_are_refused_the_page_cache_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptor = os.open(tmp_path / "cached", os.O_RDWR | os.O_CREAT)
    refusing = os.open(tmp_path / "cached", os.O_RDONLY)
    real = os.pwrite

    def pwrite(number: int, view: memoryview, offset: int) -> int:
        if number == refusing:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(number, view, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    road = Bulk(descriptor, refusing, drops=False)
    assert road.direct_bytes == DIRECT_BYTES
    road.write(pages(b"x" * 8192), 0)
    assert (tmp_path / "cached").read_bytes() == b"x" * 8192
    assert road.direct_bytes == 0
    road.close()
    os.close(descriptor)


def test_an_error_of_the_disk_is_no_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    broken = os.open(tmp_path / "file", os.O_RDONLY)

    def pwrite(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pwrite", pwrite)
    road = Bulk(descriptor, broken, drops=False)
    with pytest.raises(OSError, match="Input/output"):
        road.write(pages(b"x" * 8192), 0)
    road.close()
    os.close(descriptor)


def test_what_is_large_is_written_early_and_dropped_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[int] = []
    dropped: list[int] = []
    monkeypatch.setattr(bulk, "start_write_back", lambda _descriptor, offset, _length: began.append(offset >> 20))
    monkeypatch.setattr(os, "posix_fadvise", lambda _descriptor, offset, _length, _advice: dropped.append(offset >> 20))
    for drops in (list(range(0, 32, 16)), []):
        began.clear()
        dropped.clear()
        road = Bulk(-1, -1, drops=bool(drops))
        for offset in range(0, 96 << 20, 16 << 20):
            road.accept(offset, 16 << 20)
        assert began == list(range(0, 96, 16))
        assert dropped == drops


def test_a_file_without_room_is_refused_before_its_first_byte(
    partial: PosixPartial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reserve(descriptor: int, size: int) -> bool:
        os.ftruncate(descriptor, size)  # a part of it was to be had
        raise OSError(errno.ENOSPC, "No space left on device")

    partial._system.has_extents = True
    monkeypatch.setattr(posix_partial, "reserve_room", reserve)
    partial.write(memoryview(b"kept"), 0)
    with pytest.raises(DestinationFull):
        partial.reserve(LARGE_BYTES, Direct.AUTO)
    assert partial.facts().size < LARGE_BYTES


def test_room_is_given_back_and_no_byte_with_it(partial: PosixPartial) -> None:
    partial.write(memoryview(b"x" * 100_000), 0)
    os.ftruncate(partial.descriptor, 10 << 20)
    partial.cut(100_000)
    size = partial.facts().size
    assert 100_000 <= size < 1 << 20
    partial.cut(20 << 20)
    assert partial.facts().size == size
    assert os.pread(partial.descriptor, 100_000, 0) == b"x" * 100_000
