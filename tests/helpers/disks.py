"""A disk that is small, and what a writer has journalled on it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fdtd.mover.journal import decode_journal
from fdtd.storage.names import journal_name


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def journalled(target: Path) -> int:
    journal = target.parent / os.fsdecode(journal_name(os.fsencode(target.name)))
    return sum(extent.length for extent in decode_journal(journal.read_bytes(), None)) if journal.exists() else 0


def wait_journalled(target: Path, least: int) -> None:
    deadline = time.monotonic() + 20
    while journalled(target) < least:
        assert time.monotonic() < deadline, "nothing was journalled"
        time.sleep(0.01)  # a poll with a deadline
