"""A data set to show a transfer with: what real ones are made of, in small.

Decides its files: a few large ones, 2,000 small ones, an empty one, names with UTF-8 and with a blank, and a symlink.
No two blocks are equal, so that a block in the wrong place would be noticed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import Final

from fdtcp.units import KIB, MIB
from fdtcp.value import dataclass

SMALL_FILES: Final = 2000
# Of a small data set the small files are one sixteenth; of a large one this, 64 KiB each.
_SMALL_BYTES: Final = SMALL_FILES * 64 * KIB
_BLOCK: Final = MIB
_STAMP: Final = struct.Struct("<QQ")
# Weights of the large files: sizes that differ show that a long file is shared between streams at the end.
_WEIGHTS: Final = (4, 3, 2, 1)


@dataclass(frozen=True, slots=True)
class DataSet:
    """Names of files, relative to one directory; those with blanks cannot stand in a copyjobfile's lines."""

    names: tuple[str, ...]
    blank_names: tuple[str, ...]
    size: int


def make_data_set(directory: str, size: int, is_stopped: Callable[[], bool] = lambda: False) -> DataSet:
    """Write files of `size` bytes altogether below `directory`; ends early when `is_stopped`.  Raises OSError."""
    noise = os.urandom(2 * _BLOCK)
    plain: list[str] = []
    blank: list[str] = []
    total = 0
    for number, (name, length) in enumerate(_plan(size)):
        if is_stopped():
            break
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _write(path, number, length, noise)
        (blank if " " in name else plain).append(name)
        total += length
    os.symlink(os.path.join("small", "0", "0000.dat"), os.path.join(directory, "link-to-a-small-one"))
    return DataSet((*plain, "link-to-a-small-one"), tuple(blank), total)


def _plan(size: int) -> Iterator[tuple[str, int]]:
    small = min(size // 16, _SMALL_BYTES)
    each = small // SMALL_FILES
    for number in range(SMALL_FILES):
        # From half to one and a half of the mean.
        yield f"small/{number // 500}/{number:04}.dat", each // 2 + number * each // SMALL_FILES
    yield "empty", 0
    yield "Straße-東京.dat", 100 * KIB
    yield "a name with blanks.dat", 100 * KIB
    for number, weight in enumerate(_WEIGHTS):
        yield f"large/{number}.dat", (size - small) * weight // sum(_WEIGHTS)


def _write(path: str, number: int, length: int, noise: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        view = memoryview(noise)
        for block in range((length + _BLOCK - 1) // _BLOCK):
            # The stamp makes a block unique, the shift makes its whole content differ from its neighbours'.
            shift = (number * 7919 + block * 104729) % _BLOCK
            stamp = _STAMP.pack(number, block)
            wanted = min(_BLOCK, length - block * _BLOCK)
            pieces: list[bytes | memoryview] = [stamp[:wanted], view[shift : shift + max(0, wanted - len(stamp))]]
            if os.writev(descriptor, pieces) != wanted:
                raise OSError(28, "short write: no space left on device", path)
    finally:
        os.close(descriptor)
