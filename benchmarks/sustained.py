"""Does the rate last?  One file of zeros to a disk, far larger than the memory that all programs may use together.

    python -m benchmarks.sustained [--size 20GiB] [--memory 1GiB] [--dir /var/tmp] [--rounds 1]      as root

Everything that is started is in one memory control group (version 1 or 2), this program included.  `dd oflag=direct` of
the same size comes first, its file is removed, then fdtcp with its default options and a fresh destination.  How far a
transfer is, is what the kernel has counted for the process that writes; the quarters are quarters of the bytes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

from benchmarks.peers.base import Peer
from benchmarks.peers.fdt import Fdtcp
from benchmarks.peers.local import Dd
from benchmarks.processes import descendants
from benchmarks.work import DESTINATION, SOURCE, Copy, Measurement
from fdtcp.units import GIB, MIB, format_rate, format_size, parse_size

# A disk that is nearly full is another disk.
_SPARE_BYTES: Final = 4 * GIB
_LOOK_EVERY_S: Final = 0.05
_DD_BLOCK: Final = 4 * MIB

# Part 1 of issue 3.
_LEAST: Final = 0.9


class Progress:
    """What the busiest writer among our descendants has written, and when.  A context manager."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, int]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_LOOK_EVERY_S):
            most = max((_written(pid) for pid in descendants([os.getpid()]) - {os.getpid()}), default=0)
            if most and (not self.marks or most > self.marks[-1][1]):
                self.marks.append((time.perf_counter(), most))


def _written(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return 0  # it has ended
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes:")), 0)


def quarters_of(marks: Sequence[tuple[float, int]], size: int) -> tuple[float, ...]:
    """Return the rates of the quarters, between marks in a straight line; nothing where there are too few marks."""
    # The first percent may be another program's, such as a daemon that notes the job.
    marks = [mark for mark in marks if mark[1] >= size // 100]
    if len(marks) < 5 or marks[-1][1] < size * 9 // 10:
        return ()
    first, last = marks[0][1], marks[-1][1]
    cuts = [first + (last - first) * number // 4 for number in range(5)]
    times = [_time_at(marks, cut) for cut in cuts]
    return tuple((last - first) / 4 / (end - begin) for begin, end in pairwise(times))


def _time_at(marks: Sequence[tuple[float, int]], written: int) -> float:
    for (before, low), (after, high) in pairwise(marks):
        if low <= written <= high:
            return before + (after - before) * (written - low) / (high - low)
    raise AssertionError(f"{written} is beyond all marks")


@contextmanager
def within(memory: int) -> Iterator[Path]:
    """Be in a control group with so much memory, all children too; yields its directory.  Raises OSError."""
    top = Path("/sys/fs/cgroup")
    is_old = (top / "memory/memory.limit_in_bytes").exists()
    top = top / "memory" if is_old else top
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    word = ":memory:" if is_old else "0::"
    home = top / next(line.partition(word)[2] for line in lines if word in line).lstrip("/")
    group = Path(tempfile.mkdtemp(prefix="fdtcp-sustained-", dir=top))
    try:
        (group / ("memory.limit_in_bytes" if is_old else "memory.max")).write_text(str(memory))
        (group / "cgroup.procs").write_text(str(os.getpid()))
        yield group
    finally:
        (home / "cgroup.procs").write_text(str(os.getpid()))
        group.rmdir()


def _peak(group: Path) -> int:
    for name in ("memory.max_usage_in_bytes", "memory.peak"):
        if (group / name).exists():
            return int((group / name).read_text())
    return 0


def _measure(peer: Peer, directory: Path, size: int) -> tuple[Measurement, tuple[float, ...]]:
    place = Path(tempfile.mkdtemp(dir=directory))
    try:
        with peer.ready([place]), Progress() as progress:
            measured = peer.run(Copy(Path("/dev"), place, ("zero",), size, is_durable=True))
        found = (place / "zero").stat().st_size
        if found != size:
            raise SystemExit(f"{peer.label} has written {found} of {size} bytes")
        return measured, quarters_of(progress.marks, size)
    finally:
        shutil.rmtree(place)
        os.sync()


def _round(directory: Path, size: int, memory: int) -> None:
    direct = Dd("dd oflag=direct", ("oflag=direct", f"count={size // _DD_BLOCK}"))
    with within(memory) as group:
        theirs, _ = _measure(direct, directory, size)
        ours, quarters = _measure(Fdtcp("fdtcp", ["--zero-size", str(size)]), directory, size)
        peak = _peak(group)
    print(f"{direct.label:<16} {format_rate(theirs.rate)}")
    print(f"{'fdtcp':<16} {format_rate(ours.rate)}; quarters {', '.join(map(format_rate, quarters))}")
    lasts = quarters[-1] / quarters[0] if quarters else 0.0
    print(f"last quarter : first   {lasts:.2f}   fdtcp : dd   {ours.rate / theirs.rate:.2f}   to reach {_LEAST} both")
    costs = (
        f"CPU s/GB {ours.cpu_per_gb(SOURCE):.2f} at the source, {ours.cpu_per_gb(DESTINATION):.2f} at the destination"
    )
    print(f"{costs}; peak of a side {ours.peak() / 1e6:.0f} MB, of the group {format_size(peak)}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and clean up."""
    parser = argparse.ArgumentParser("python -m benchmarks.sustained", description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=parse_size, default=20 * GIB, help="bytes of the file (default: 20GiB)")
    parser.add_argument("--memory", type=parse_size, default=GIB, help="of all programs together (default: 1GiB)")
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"), help="a directory on the disk")  # noqa: S108  # a default
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args(arguments)
    size = options.size // _DD_BLOCK * _DD_BLOCK
    free = shutil.disk_usage(options.dir).free
    if free < size + _SPARE_BYTES:
        raise SystemExit(f"{options.dir} has {format_size(free)} left, {format_size(size + _SPARE_BYTES)} are needed")
    print(f"{format_size(size)} of zeros to {options.dir}, until durable, with {format_size(options.memory)} of memory")
    for _ in range(options.rounds):
        _round(options.dir, size, options.memory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
