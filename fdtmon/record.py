"""One measurement, whoever made it and wherever it goes.

Decides what a record is; which values are measured is decided by who measures, how a record is written by each sink.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Source(StrEnum):
    """Which kind of program speaks; sinks make metric names and clusters of it."""

    CLIENT = "fdtcp"
    DAEMON = "fdtd"
    READER = "reader"
    WRITER = "writer"


@dataclass(frozen=True, slots=True)
class Record:
    """Values that belong together, measured at one moment.

    `host` is the name of the machine that measured, `transfer` the job's UUID or "" where it is about the host as a
    whole, `time` epoch seconds, `values` pairs of a metric's name and a number (bytes, seconds or a count; the name
    says which, as in `moved_bytes`).
    """

    source: Source
    host: str
    transfer: str
    time: float
    values: tuple[tuple[str, float], ...]
