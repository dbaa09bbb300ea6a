"""One file's way from here to there."""

from __future__ import annotations

from dataclasses import dataclass

from fdtcp.model.pfn import Pfn


@dataclass(frozen=True, slots=True)
class Transfer:
    """A file to be moved.

    `literal`: the Pfns came from the lines of a copyjobfile, so they hold no blanks and the report repeats them byte
    for byte; others are escaped there.
    """

    source: Pfn
    destination: Pfn
    literal: bool = False
