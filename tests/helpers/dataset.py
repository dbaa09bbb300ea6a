"""Files for tests: made quickly, and compared byte by byte."""

from __future__ import annotations

import filecmp
import os
from pathlib import Path

from fdtcp.units import MIB


def make_file(path: Path, size: int) -> Path:
    """Write `size` bytes in which no two places look alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = os.urandom(min(size, MIB))
    with path.open("wb") as file:
        for offset in range(0, size, MIB):
            block = (offset // MIB).to_bytes(8, "big") + noise
            file.write(block[: min(MIB, size - offset)])
    return path


def is_same(one: Path, other: Path) -> bool:
    """Compare the contents of two files."""
    return filecmp.cmp(one, other, shallow=False)
