"""What is to be moved, and what moving it took.

Decides the units of every comparison: the data phase and the whole command beside it, CPU seconds and peak memory of
each side.  How a peer is called is `benchmarks.peers`' part, how figures are judged `benchmarks.ratios`'.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

GB: Final = 1_000_000_000

SOURCE: Final = "source"  # whoever reads the data
DESTINATION: Final = "destination"  # whoever writes them
CLIENT: Final = "client"  # whoever gives the orders, if that is a program of its own

WHOLE_COMMAND: Final = "whole command"


@dataclass(frozen=True, slots=True)
class Copy:
    """The files `names` (and no others) are in `source` and have `size` bytes altogether; `destination` is empty.

    With `is_durable` a copy has ended when a loss of power would not undo it.
    """

    source: Path
    destination: Path
    names: tuple[str, ...]
    size: int
    is_durable: bool = False

    @property
    def files(self) -> int:
        """How many files there are."""
        return len(self.names)


@dataclass(frozen=True, slots=True)
class Flow:
    """From memory to memory: `size` bytes for a program that is told how much, `seconds` for one that is told when.

    With 0 streams it chooses their number itself.
    """

    streams: int
    size: int
    seconds: float

    def __str__(self) -> str:
        return f"memory -> memory, {self.streams or 'some'} stream{'' if self.streams == 1 else 's'}"

    @property
    def files(self) -> int:
        """One endless file."""
        return 1


Work = Copy | Flow


@dataclass(frozen=True, slots=True)
class Usage:
    """What the processes of one side took: CPU seconds, user and system, and the sum of their peaks in bytes."""

    cpu_s: float
    peak: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run.  `data_s` is the data phase, and `timed_by` says who has measured it."""

    size: int
    files: int
    whole_s: float
    data_s: float
    timed_by: str
    usage: dict[str, Usage] = field(default_factory=dict)
    streams: int = 0

    @property
    def rate(self) -> float:
        """Bytes a second in the data phase."""
        return self.size / self.data_s

    @property
    def overhead_s(self) -> float:
        """What the whole command took beyond the data phase."""
        return self.whole_s - self.data_s

    def cpu_s(self, side: str) -> float:
        """CPU seconds of that side; nothing if it is no process of its own."""
        return self.usage[side].cpu_s if side in self.usage else 0.0

    def cpu_per_gb(self, side: str) -> float:
        """CPU seconds of that side for each GB."""
        return self.cpu_s(side) / (self.size / GB)

    def cpu_per_file(self) -> float:
        """CPU seconds of all processes for each file."""
        return sum(usage.cpu_s for usage in self.usage.values()) / self.files

    def peak(self) -> int:
        """Peak memory in bytes of the larger side; the client is none."""
        return max((usage.peak for side, usage in self.usage.items() if side != CLIENT), default=0)
