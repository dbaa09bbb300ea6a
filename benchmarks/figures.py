"""The figures that are taken from a measurement, each with its name and its unit.

Decides which way is better: rates are to be high, everything else low.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from benchmarks.work import CLIENT, DESTINATION, GB, SOURCE, Measurement


class Figure(Enum):
    """A figure: what it is called, in which unit, and where it comes from."""

    RATE = ("rate", "GB/s", "{:.2f}", lambda it: it.rate / GB)
    FILES = ("rate", "files/s", "{:,.0f}", lambda it: it.files / it.data_s)
    DATA = ("data phase", "s", "{:.3f}", lambda it: it.data_s)
    WHOLE = ("whole command", "s", "{:.3f}", lambda it: it.whole_s)
    OVERHEAD = ("whole command - data phase", "s", "{:.3f}", lambda it: it.overhead_s)
    SOURCE_CPU = ("CPU of the source", "s/GB", "{:.2f}", lambda it: it.cpu_per_gb(SOURCE))
    DESTINATION_CPU = ("CPU of the destination", "s/GB", "{:.2f}", lambda it: it.cpu_per_gb(DESTINATION))
    CLIENT_CPU = ("CPU of the client", "s/GB", "{:.2f}", lambda it: it.cpu_per_gb(CLIENT))
    CPU = ("CPU of all programs", "s/GB", "{:.2f}", lambda it: sum(map(it.cpu_per_gb, it.usage)))
    SOURCE_S = ("CPU of the source", "s", "{:.2f}", lambda it: it.cpu_s(SOURCE))
    DESTINATION_S = ("CPU of the destination", "s", "{:.2f}", lambda it: it.cpu_s(DESTINATION))
    CLIENT_S = ("CPU of the client", "s", "{:.2f}", lambda it: it.cpu_s(CLIENT))
    FILE_CPU = ("CPU of all programs", "us/file", "{:,.0f}", lambda it: it.cpu_per_file() * 1e6)
    PEAK = ("peak memory of the larger side", "MB", "{:.0f}", lambda it: it.peak() / 1e6)

    def __init__(self, title: str, unit: str, form: str, function: Callable[[Measurement], float]) -> None:
        self.title = title
        self.unit = unit
        self._form = form
        self._function = function

    def of(self, measurement: Measurement) -> float:
        """Return the figure of a measurement."""
        return self._function(measurement)

    def format(self, value: float) -> str:
        """Return the value for people, with its unit."""
        return f"{self._form.format(value)} {self.unit}"

    @property
    def is_rate(self) -> bool:
        """Whether more is better."""
        return self in (Figure.RATE, Figure.FILES)
