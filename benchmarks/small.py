"""Many small files from one directory of a tmpfs to another: fdtcp beside `cp -r` and GridFTP, in turn, in one run.

    python -m benchmarks.small [--files 20000] [--size 16KiB] [--pairs 5]

Whole commands, and for fdtcp also the data phase alone: from the first byte to the last outcome.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.fdt import Fdtcp
from benchmarks.peers import Cp, GridFtp, has_gridftp
from benchmarks.ratios import print_ratios
from fdtcp.units import KIB, parse_size

DATA_PHASE = "fdtcp, data phase"


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=20_000, help="how many (default: 20000)")
    parser.add_argument("--size", type=parse_size, default=16 * KIB, help="bytes of each (default: 16KiB)")
    parser.add_argument("--pairs", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--place", default="/dev/shm", help="a directory on a tmpfs")  # noqa: S108  # a default
    options = parser.parse_args()
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.place)))
        source = place / "source"
        source.mkdir()
        for number in range(options.files):
            (source / f"{number:07}").write_bytes(os.urandom(options.size))
        peers: list[Cp | Fdtcp | GridFtp] = [Cp(), stack.enter_context(Fdtcp([place]))]
        if has_gridftp():
            peers.append(stack.enter_context(GridFtp(1)))
        rates = _measure(peers, source, place / "target", options)
    print(
        f"\n{options.files} files of {options.size} bytes, whole command, files a second, median of {options.pairs}\n"
    )
    for name, values in rates.items():
        print(f"  {name:<20} {median(values):10.0f}")
    print_ratios(rates)
    return 0


def _measure(
    peers: list[Cp | Fdtcp | GridFtp], source: Path, target: Path, options: argparse.Namespace
) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {}
    for turn in range(options.pairs):
        for number in range(len(peers)):
            peer = peers[(turn + number) % len(peers)]
            began = time.perf_counter()
            peer.copy_tree(source, target)
            seconds = time.perf_counter() - began
            if len(os.listdir(target)) != options.files:
                raise SystemExit(f"{peer.name} copied {len(os.listdir(target))} of {options.files} files")
            shutil.rmtree(target)
            name = "gridftp -cc 4 -pp" if isinstance(peer, GridFtp) else peer.name
            rates.setdefault(name, []).append(options.files / seconds)
            if isinstance(peer, Fdtcp):
                (job,) = peer.result["jobs"]
                seconds = job["timings"]["destination ended"] - job["timings"]["started"]
                rates.setdefault(DATA_PHASE, []).append(options.files / seconds)
            print(f"round {turn + 1}: {name:<20} {rates[name][-1]:8.0f} files/s", file=sys.stderr)
    return rates


if __name__ == "__main__":
    sys.exit(main())
