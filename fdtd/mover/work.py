"""The pieces of work that a reader's streams are dealt.

Decides what there is to be sent; which stream sends it, and when, is decided by `fdtd.mover.plan`.
"""

from __future__ import annotations

from collections.abc import Iterator

from fdtcp.errors import Problem
from fdtcp.value import dataclass


@dataclass(frozen=True, slots=True)
class BlockWork:
    """Send a part of a file; without payload only its checksum (the destination has the bytes already)."""

    file: int
    offset: int
    length: int
    payload: bool


@dataclass(frozen=True, slots=True)
class BatchWork:
    """Send these small files in one frame."""

    files: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EndWork:
    """Say that all of a file has been sent."""

    file: int
    checksum: int


@dataclass(frozen=True, slots=True)
class AbortWork:
    """Say that the source failed."""

    file: int
    problem: Problem


Work = BlockWork | BatchWork | EndWork | AbortWork


def cut(file: int, start: int, end: int, step: int, *, payload: bool) -> Iterator[BlockWork]:
    """Cut a part of a file into pieces of `step` bytes; the last one may be shorter."""
    for offset in range(start, end, step):
        yield BlockWork(file, offset, min(step, end - offset), payload)
