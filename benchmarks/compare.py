"""One large file from the page cache to a tmpfs: fdtcp with checksums beside `cp` and GridFTP, in turn, in one run.

    python -m benchmarks.compare [--size 8GiB] [--pairs 7] [--json F]

Each round copies the same file once with every program, in an order that rotates, and the ratios are taken within the
round: the machine's other work then meets all of them.  The time is that of the whole command.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.fdt import Fdtcp
from benchmarks.peers import Cp, GridFtp, Peer, has_gridftp
from benchmarks.ratios import print_ratios
from fdtcp.units import GIB, MIB, format_rate, format_size, parse_size


def main() -> int:
    """Measure, print a table, and say whether GridFTP is beaten."""
    options = _parse()
    with ExitStack() as stack:
        source_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.source)))
        target_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.target)))
        source = source_dir / "file"
        _make(source, options.size)
        peers: list[Peer] = [
            Cp(),
            Fdtcp([source_dir, target_dir]),
            Fdtcp([source_dir, target_dir], ["--checksum", "none"], "fdtcp, no checksum"),
        ]
        if has_gridftp():
            peers += [GridFtp(1), GridFtp(4)]
        for peer in peers:
            stack.enter_context(peer)
        rates = _measure(peers, source, target_dir, options)
    _print(rates, options)
    if options.json:
        Path(options.json).write_text(json.dumps({"size": options.size, "bytes_per_second": rates}, indent=1) + "\n")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=parse_size, default=8 * GIB, help="bytes of the file (default: 8GiB)")
    parser.add_argument("--pairs", type=int, default=7, help="rounds (default: 7)")
    parser.add_argument("--source", default="/var/tmp", help="a directory on a disk: the file is read into the cache")  # noqa: S108  # a default
    parser.add_argument("--target", default="/dev/shm", help="a directory on a tmpfs")  # noqa: S108  # a default
    parser.add_argument("--json", help="write all measured rates to this file")
    return parser.parse_args()


def _make(path: Path, size: int) -> None:
    """Write a file that no program can compress or skip; it stays in the page cache."""
    block = os.urandom(MIB)
    with path.open("wb") as file:
        for number in range(0, size, MIB):
            # Each block differs from the others by its number.
            file.write((number.to_bytes(8) + block[8:])[: size - number])
        file.flush()
        # Write-back in mid-measurement would be somebody's bad luck.
        os.fsync(file.fileno())


def _warm(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while file.read(16 * MIB):
            pass


def _measure(
    peers: Sequence[Peer], source: Path, target_dir: Path, options: argparse.Namespace
) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {peer.name: [] for peer in peers}
    destination = target_dir / "copy"
    for turn in range(options.pairs):
        for number in range(len(peers)):
            peer = peers[(turn + number) % len(peers)]
            _warm(source)
            began = time.perf_counter()
            peer.copy(source, destination)
            seconds = time.perf_counter() - began
            if destination.stat().st_size != options.size:
                raise SystemExit(f"{peer.name} copied {destination.stat().st_size} of {options.size} bytes")
            destination.unlink()
            rates[peer.name].append(options.size / seconds)
            print(f"round {turn + 1}: {peer.name:<20} {format_rate(rates[peer.name][-1])}", file=sys.stderr)
    return rates


def _print(rates: dict[str, list[float]], options: argparse.Namespace) -> None:
    print(f"\n{format_size(options.size)}, page cache -> {options.target}, whole command, median of {options.pairs}\n")
    for name, values in rates.items():
        print(f"  {name:<20} {format_rate(median(values)):>10}")
    print_ratios(rates)


if __name__ == "__main__":
    sys.exit(main())
