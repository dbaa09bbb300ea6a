"""Files that an outbox knows, as after pre-flight."""

from __future__ import annotations

from pathlib import Path

from fdtcp.errors import Problem
from fdtd.mover.outbox import Outbox


def describe(outbox: Outbox, *paths: Path) -> None:
    """Let `outbox` look at these files, and remember them by their places here."""
    for index, path in enumerate(paths):
        describe_one(outbox, index, path)


def describe_one(outbox: Outbox, index: int, path: Path) -> None:
    """Let `outbox` look at one file, and remember it by this number."""
    with outbox.reading() as reading:
        look = (reading.look(bytes(path)) if reading is not None else None) or outbox.look(bytes(path))
    assert not isinstance(look, Problem), str(look)
    outbox.note_looks([bytes(path)], {index: look})
