"""The two movers alone, without daemons: CPU of each for a file, before the bytes and with them.

    python -m benchmarks.movers [--files 20000] [--size 16KiB] [--runs 5] [--cp]

Rates mean little where other programs run; CPU seconds, which the kernel counts for each process, mean much.  What
is before the bytes is pre-flight (and the start of the programs); the rest is from the first Release to the last line
of both.  With `--cp` a `cp -r` of the same files follows each run, and the rates are compared round by round.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.ratios import ratio_of
from fdtcp.model.order import Checksum, Ended, Finals, Policy, State, Sync
from fdtcp.units import KIB, MIB, parse_size
from tests.helpers.movers import Job, Mover


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run has cost: CPU microseconds for each file, seconds, and the most memory of either mover in bytes."""

    reader_before: float
    reader: float
    writer_before: float
    writer: float
    seconds: float
    reader_memory: int
    writer_memory: int


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=20_000, help="how many (default: 20000)")
    parser.add_argument("--size", type=parse_size, default=16 * KIB, help="bytes of each (default: 16KiB)")
    parser.add_argument("--directories", type=int, default=1, help="how many they are spread over (default: 1)")
    parser.add_argument("--runs", type=int, default=5, help="how often (default: 5)")
    parser.add_argument("--checksum", default="adler32", choices=[one.value for one in Checksum], help="of the bytes")
    parser.add_argument("--sync", default="batch", choices=[one.value for one in Sync], help="the sync policy")
    parser.add_argument("--cp", action="store_true", help="beside cp -r")
    parser.add_argument("--place", default="/dev/shm", help="a directory on a tmpfs")  # noqa: S108  # a default
    options = parser.parse_args()
    costs, theirs = [], []
    with tempfile.TemporaryDirectory(dir=options.place) as place:
        source, target = Path(place, "source"), Path(place, "target")
        names = _make(source, options)
        for _ in range(options.runs):
            pairs = [(os.fsencode(source / name), os.fsencode(target / name)) for name in names]
            costs.append(_run(pairs, options))
            _print(costs[-1], options.files)
            shutil.rmtree(target)
            if options.cp:
                began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
                subprocess.run(["/bin/cp", "-r", source, target], check=True)
                theirs.append(options.files / (time.perf_counter() - began))
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                print(f"  cp -r: {used / options.files * 1e6:.1f} us, {theirs[-1]:.0f} files/s", file=sys.stderr)
                shutil.rmtree(target)
    _summarize(costs, theirs, options.files)
    return 0


def _make(source: Path, options: argparse.Namespace) -> list[str]:
    content = os.urandom(options.size)
    names = []
    for number in range(options.files):
        names.append(f"{number % options.directories:05}/{number:07}")
        path = source / names[-1]
        if number < options.directories:
            path.parent.mkdir(parents=True)
        path.write_bytes(content)
    return names


def _run(pairs: list[tuple[bytes, bytes]], options: argparse.Namespace) -> Cost:
    policy = Policy(checksum=Checksum(options.checksum), sync=Sync(options.sync))
    with Job(pairs, policy) as job:
        job.describe()
        job.expect()
        job.connect()
        before = _cpu(job.reader), _cpu(job.writer)
        began = time.perf_counter()
        job.release()
        memory = [0, 0]
        left = len(pairs)
        while left:
            message = job.writer.hear()
            memory = [max(one, _peak(mover)) for one, mover in zip(memory, (job.reader, job.writer), strict=True)]
            if isinstance(message, Finals):
                left -= len(message.outcomes)
                if any(one.state is not State.DONE for one in message.outcomes):
                    raise SystemExit(f"not all files have been moved: {message.outcomes[0]}")
            elif message is None or isinstance(message, Ended):
                raise SystemExit(f"the writer ended early: {message}")
        seconds = time.perf_counter() - began
        spent = _wait(job.reader), _wait(job.writer)
    before_us, spent_us = ([one * 1e6 / len(pairs) for one in both] for both in (before, spent))
    return Cost(before_us[0], spent_us[0] - before_us[0], before_us[1], spent_us[1] - before_us[1], seconds, *memory)


def _cpu(mover: Mover) -> float:
    # What clock_getcpuclockid(3) makes of a process id.
    return time.clock_gettime(~mover.process.pid << 3 | 2)


def _peak(mover: Mover) -> int:
    """Return the most memory that a mover has had, in bytes; what wait4 says contains our own before its exec."""
    try:
        status = Path(f"/proc/{mover.process.pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def _wait(mover: Mover) -> float:
    """Wait for the end of a mover; returns the CPU seconds of its life."""
    while mover.hear() is not None:
        pass
    _, _, usage = os.wait4(mover.process.pid, 0)
    return usage.ru_utime + usage.ru_stime


def _print(cost: Cost, files: int) -> None:
    print(
        f"  reader {cost.reader_before:.1f} + {cost.reader:.1f} us, writer {cost.writer_before:.1f} + {cost.writer:.1f}"
        f" us, {files / cost.seconds:.0f} files/s, memory {cost.reader_memory / MIB:.0f} and"
        f" {cost.writer_memory / MIB:.0f} MiB",
        file=sys.stderr,
    )


def _summarize(costs: list[Cost], theirs: list[float], files: int) -> None:
    print(f"\n| {files} files, CPU us for each | before the bytes | with them |\n| --- | --- | --- |")
    print(f"| reader | {median(c.reader_before for c in costs):.1f} | {median(c.reader for c in costs):.1f} |")
    print(f"| writer | {median(c.writer_before for c in costs):.1f} | {median(c.writer for c in costs):.1f} |")
    rates = [files / cost.seconds for cost in costs]
    print(f"\n{median(rates):.0f} files/s, data phase")
    if theirs:
        ratio = ratio_of(rates, theirs)
        print(f"cp -r: {median(theirs):.0f} files/s; ratio {ratio.median:.2f}, {ratio.low:.2f} .. {ratio.high:.2f}")


if __name__ == "__main__":
    sys.exit(main())
