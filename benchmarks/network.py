"""Memory to memory on loopback, beside iperf3 with the same streams and congestion control.

    python -m benchmarks.network [--pairs 7] [--size 16GiB] [--seconds 4] [--json F]

Both run in turn; a ratio is taken within each pair.  On a machine that others use too, many short pairs say more than
few long ones.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.memory import Iperf3, MemoryToMemory
from benchmarks.ratios import ratio_of
from fdtcp.units import GIB, format_rate, parse_size

TARGET: Final = 0.95
STREAMS: Final = (1, 4)
# Pacing costs half of a host's own rate, so fdtcp does not pace within a host; nor may iperf3.
CONGESTION: Final = "cubic"


def main() -> int:
    """Measure and print a table; the exit code says whether all targets are met."""
    options = _parse()
    rows: list[dict[str, Any]] = []  # Any: JSON
    with MemoryToMemory() as ours:
        for streams in STREAMS:
            rows += [_measure(ours, streams, checksum, options) for checksum in ("none", "adler32")]
    _print(rows)
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
    return int(any(row["ratio"] < TARGET for row in rows if row["checksum"] == "none"))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=7, help="pairs for each row (default: 7)")
    parser.add_argument("--size", type=parse_size, default=16 * GIB, help="bytes that fdtcp moves (default: 16GiB)")
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds that iperf3 sends (default: 4)")
    parser.add_argument("--json", help="write all measured rates to this file")
    return parser.parse_args()


def _measure(
    ours: MemoryToMemory, streams: int, checksum: str, options: argparse.Namespace
) -> dict[str, Any]:  # Any: JSON
    peer = Iperf3(congestion=CONGESTION)
    arguments = ("--streams", str(streams), "--checksum", checksum, "--congestion", CONGESTION)
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(options.pairs):
        rates[0].append(ours.rate(options.size, arguments))
        rates[1].append(peer.rate(streams, options.seconds))
    ratio = ratio_of(*rates)
    return {
        "streams": streams,
        "checksum": checksum,
        "fdtcp": rates[0],
        "iperf3": rates[1],
        "ratio": ratio.median,
        "low": ratio.low,
        "high": ratio.high,
        "verdict": ratio.verdict(TARGET) if checksum == "none" else "",
    }


def _print(rows: list[dict[str, Any]]) -> None:  # Any: JSON
    print(
        "| streams | checksum | fdtcp | iperf3 | ratio | 90 % interval | |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    for row in rows:
        fdtcp, iperf3 = (format_rate(sorted(row[name])[len(row[name]) // 2]) for name in ("fdtcp", "iperf3"))
        print(
            f"| {row['streams']} | {row['checksum']} | {fdtcp} | {iperf3} | {row['ratio']:.2f} "
            f"| {row['low']:.2f} .. {row['high']:.2f} | {row['verdict']} |"
        )


if __name__ == "__main__":
    sys.exit(main())
