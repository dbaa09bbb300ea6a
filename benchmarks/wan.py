"""Memory to memory over a long wire: fdtcp with default options (streams: automatic) beside the best hand-tuned iperf3.

    python -m benchmarks.wan [--rtt 20,50,100] [--loss 0,0.001] [--congestion cubic] [--pairs 7] [--json F]

Needs root.  Both hosts are network namespaces (tests/helpers/wan.py) with a userspace wire of 1 Gbit/s and 50 ms of
queue between them.  The daemons run in the namespaces, and fdtcp beside the source; commands go over a short wire.
First iperf3 is tried with several numbers of streams; then the best of them and fdtcp take turns.  fdtcp moves
what the best would move in the same time, so that both begin as slowly.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.memory import Iperf3, MemoryToMemory
from benchmarks.ratios import ratio_of
from fdtcp.cli.lab import LabHost
from tests.helpers.wan import NETWORK, End, Wan

TARGET: Final = 0.90
# With 128 iperf3 3.12 does not come to an end.
TRIED: Final = "1,4,8,16,32,64"


def main() -> int:
    """Measure and print a table; the exit code says whether all targets are met."""
    options = _parse()
    rows: list[dict[str, Any]] = []  # Any: JSON
    print("| RTT | loss | iperf3 -P | iperf3 | fdtcp | streams | ratio | 90 % interval | |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for rtt_ms in options.rtt.split(","):
        for loss in options.loss.split(","):
            rows.append(_measure(float(rtt_ms) / 1000, float(loss), options))
            _print(rows[-1])
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
    return int(any(row["ratio"] < TARGET for row in rows))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rtt", default="20,50,100", help="round trips in ms (default: 20,50,100)")
    parser.add_argument("--loss", default="0,0.001", help="fractions of packets that are lost (default: 0,0.001)")
    parser.add_argument("--congestion", default="", help="for both (default: this kernel's)")
    parser.add_argument("--tried", default=TRIED, help=f"iperf3's numbers of streams (default: {TRIED})")
    parser.add_argument("--pairs", type=int, default=7, help="pairs for each row (default: 7)")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds of each measurement (default: 10)")
    parser.add_argument("--json", help="write all measured rates to this file")
    return parser.parse_args()


def _measure(rtt_s: float, loss: float, options: argparse.Namespace) -> dict[str, Any]:  # Any: JSON
    with Wan(rtt_s, loss) as wan:
        hosts = (_host("source", wan.near), _host("destination", wan.far))
        peer = Iperf3(hosts, options.congestion)
        tried = {streams: peer.rate(streams, options.seconds) for streams in map(int, options.tried.split(","))}
        best = max(tried, key=lambda streams: tried[streams])
        arguments = ("--congestion", options.congestion) if options.congestion else ()
        rates: tuple[list[float], list[float]] = ([], [])
        with MemoryToMemory(hosts, NETWORK) as ours:
            for _ in range(options.pairs):
                rates[0].append(ours.rate(int(tried[best] * options.seconds), arguments))
                rates[1].append(peer.rate(best, options.seconds))
            streams = ours.streams
    ratio = ratio_of(*rates)
    return {
        "rtt_s": rtt_s,
        "loss": loss,
        "tried": tried,
        "best": best,
        "streams": streams,
        "fdtcp": rates[0],
        "iperf3": rates[1],
        "ratio": ratio.median,
        "low": ratio.low,
        "high": ratio.high,
        "verdict": ratio.verdict(TARGET),
        "wire": wan.dropped,
    }


def _host(name: str, end: End) -> LabHost:
    return LabHost(name, end.control, (end.data,), end.command)


def _print(row: dict[str, Any]) -> None:  # Any: JSON
    ours, theirs = (f"{median(row[name]) * 8 / 1e6:.0f} Mbit/s" for name in ("fdtcp", "iperf3"))
    print(
        f"| {row['rtt_s'] * 1000:.0f} ms | {row['loss']:.1%} | {row['best']} | {theirs} | {ours} | {row['streams']} "
        f"| {row['ratio']:.2f} | {row['low']:.2f} .. {row['high']:.2f} | {row['verdict']} |",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
