"""What a user sees while files move: live bars on a terminal, a line every few seconds elsewhere.

Decides the figures (over a window, so that a stall shows at once) and their form.  It only reads the jobs' snapshots.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol

from fdtcp.cli.output import Log
from fdtcp.thirdparty import Progress
from fdtcp.units import format_bit_rate, format_duration, format_rate, format_size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from fdtcp.model.job import Job

# A log that is read later wants one line in a while; a terminal is redrawn by rich.
LINE_EVERY_S: Final = 5.0
# The rate that is shown is that of the last seconds.
WINDOW_S: Final = 5.0


class Shown(Protocol):
    """A job, as far as a display looks at it."""

    @property
    def job(self) -> Job:
        """Return what it moves."""

    @property
    def progress(self) -> Progress:
        """Return how far it is."""


class Meter:
    """The rate of a growing number of bytes over the last seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def add(self, now: float, moved: int) -> float:
        """Note a reading and return bytes per second."""
        self._points.append((now, moved))
        while len(self._points) > 2 and now - self._points[0][0] > WINDOW_S:
            self._points.popleft()
        began, first = self._points[0]
        return (moved - first) / (now - began) if now > began else 0.0


def describe(parts: Sequence[Progress], rate: float) -> str:
    """Say in one line how far these jobs are together."""
    files, total, moved = (sum(getattr(part, name) for part in parts) for name in ("files", "total", "moved"))
    ended = sum(part.done + part.skipped + part.failed for part in parts)
    failed = sum(part.failed for part in parts)
    text = f"{format_size(moved)} of {format_size(total)}, {format_rate(rate)} ({format_bit_rate(rate)}), "
    text += f"{ended} of {files} files"
    if failed:
        text += f", {failed} failed"
    if 0 < total <= moved and ended < files:
        text += ", being made safe"
    left = max(total - moved, 0)
    if rate > 0 and left:
        text += f", {format_duration(left / rate)} to go"
    return text


class PlainDisplay:
    """A line every few seconds."""

    def __init__(self, log: Log, jobs: Sequence[Shown]) -> None:
        self._log = log
        self._jobs = jobs
        self._meter = Meter()
        self._next_at = time.monotonic() + LINE_EVERY_S

    def look(self) -> None:
        """Say how far all jobs are, if it is time to."""
        now = time.monotonic()
        parts = [job.progress for job in self._jobs]
        rate = self._meter.add(now, sum(part.moved for part in parts))
        if now >= self._next_at:
            self._next_at = now + LINE_EVERY_S
            self._log.say(describe(parts, rate))

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End without a last line: the summary follows."""


class LiveDisplay:
    """A bar and a line of figures for each job, drawn by rich."""

    def __init__(self, jobs: Sequence[Shown]) -> None:
        # rich takes 40 ms to load, which only somebody who watches should pay.
        from rich.live import Live

        self._jobs = jobs
        self._meters = [Meter() for _ in jobs]
        self._live = Live(refresh_per_second=5, transient=True)

    def look(self) -> None:
        """Bring the picture up to date."""
        from rich.console import Group

        now = time.monotonic()
        rows = [
            _draw(job, meter.add(now, job.progress.moved)) for job, meter in zip(self._jobs, self._meters, strict=True)
        ]
        self._live.update(Group(*rows))

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()


def _draw(job: Shown, rate: float) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    part = job.progress
    bar = ProgressBar(total=part.total or None, completed=min(part.moved, part.total), width=30, pulse=not part.total)
    head = Table.grid(padding=(0, 1))
    percent = f"{100 * part.moved / part.total:3.0f}%" if part.total else ""
    head.add_row(Text(f"{job.job.source.host} -> {job.job.destination.host}"), bar, Text(percent))
    figures = describe([part], rate) if part.total else "looking at the files"
    return Group(head, Text(f"  {figures}", no_wrap=True, overflow="ellipsis"))


Display = PlainDisplay | LiveDisplay


def choose_display(log: Log, jobs: Sequence[Shown]) -> Display:
    """Return the display that suits where the log goes."""
    return LiveDisplay(jobs) if log.is_terminal else PlainDisplay(log, jobs)
