"""Compare fdtcp with its peers and with what the machine allows, side by side.

    python -m benchmarks [suite...] [--pairs N] [--quick] [--json F] [--svg F]
    python -m benchmarks --join F... [--svg F]

Every round runs every peer once, in an order by chance.  What is printed are medians, and ratios within the rounds; the
JSON has every measurement.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import signal
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from benchmarks import machine, network, picture, record
from benchmarks.contest import Contest, Result, hold
from benchmarks.data import Places
from benchmarks.suites import CONGESTION, DEFAULT, QUICK, SUITES, Scale
from benchmarks.table import format_result, format_scaling, format_standings
from benchmarks.targets import OURS, Standing, is_wanted, judge
from fdtcp.units import parse_size

PAIRS: Final = 7
QUICK_PAIRS: Final = 3
# What shells say of a program that was interrupted.
INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Hold the contests; print tables, write JSON and a picture.  Returns 0 whatever the figures are, or 130."""
    options = _parse(arguments)
    return _join(options) if options.join else _measure(options)


def _measure(options: argparse.Namespace) -> int:
    facts = {"network": network.enter(options.congestion or CONGESTION), **machine.facts()}
    facts["seed"] = seed = options.seed if options.seed is not None else int(time.time())
    chance = random.Random(seed)  # noqa: S311  # the order of the runs, no secret
    places = Places(Path(options.dir), Path(options.memory))
    results: dict[str, Result] = {}
    packages: set[str] = set()
    facts["began"] = began = time.time()
    code = 0
    try:
        with closing(_contests(options)) as contests:
            for contest in contests:
                packages.update(package for peer in contest.peers for package in peer.packages)
                results[contest.name] = hold(contest, places, options.pairs, chance, _say)
                if len(contest.peers) > 1:
                    print(f"{format_result(results[contest.name])}\n", flush=True)
    except KeyboardInterrupt:
        # Half an hour of measurements is not thrown away with the contest that was under way.
        _say("interrupted; the contests that were whole:")
        code = INTERRUPTED
    facts["seconds"] = round(time.time() - began, 1)
    _conclude(options, facts, machine.versions(packages) if options.json else {}, results)
    return code


def _join(options: argparse.Namespace) -> int:
    """Tell of several runs as if they had been one; the machine is that of the first."""
    results: dict[str, Result] = {}
    versions: dict[str, str] = {}
    facts: dict[str, str | int | float] = {}
    for name in options.join:
        try:
            plain = json.loads(Path(name).read_text(encoding="utf-8"))
            found = record.decode(plain)
            facts = facts or plain["machine"]
            versions |= plain["versions"]
        except (OSError, ValueError, KeyError) as exc:
            _say(f"{name} cannot be taken: {exc}")
            return 1
        for result in found:
            results[result.name] = result
            if len(result.labels()) > 1:
                print(f"{format_result(result)}\n")
    _conclude(options, facts, versions, results)
    return 0


def _conclude(
    options: argparse.Namespace,
    facts: Mapping[str, str | int | float],
    versions: Mapping[str, str],
    results: Mapping[str, Result],
) -> None:
    """Print what is about several contests; write what is to be written."""
    standings = judge(results)
    _tell(results, standings)
    if options.json:
        plain = record.encode(facts, versions, results.values(), standings)
        _write(options.json, json.dumps(plain, indent=1) + "\n")
    if options.svg:
        title = f"fdtcp beside its peers, {time.strftime('%Y-%m-%d', time.localtime(float(facts['began'])))}"
        _write(options.svg, picture.draw(title, picture.subtitle_of(facts), list(results.values()), standings))


def _tell(results: Mapping[str, Result], standings: Sequence[Standing]) -> None:
    alone = [result for result in results.values() if result.labels() == [OURS]]
    if alone:
        print(f"{format_scaling(alone)}\n")
    if standings:
        print(format_standings(standings))


def _write(name: str, text: str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__, formatter_class=form)
    default = ", ".join(DEFAULT)
    parser.add_argument("suites", nargs="*", metavar="suite", help=f"of {', '.join(SUITES)} (default: {default})")
    parser.add_argument("--pairs", type=int, help=f"rounds of each contest (default: {PAIRS}; quick: {QUICK_PAIRS})")
    parser.add_argument("--quick", action="store_true", help="small sizes: a few minutes, half a gigabyte")
    parser.add_argument("--size", type=parse_size, help="bytes of a large file (default: 8GiB)")
    parser.add_argument("--peers", metavar="A,B", help="only peers whose names begin so, and fdtcp")
    parser.add_argument("--only-targets", action="store_true", help="only what the targets need")
    parser.add_argument("--dir", default="/var/tmp", help="for temporary files on a disk")  # noqa: S108  # a default
    parser.add_argument("--memory", default="/dev/shm", help="for those on a tmpfs")  # noqa: S108  # a default
    parser.add_argument(
        "--congestion",
        help=f"of all programs (default: {CONGESTION} on loopback, the kernel's over long wires; {network.KEEP}: its)",
    )
    parser.add_argument(
        "--join", metavar="F", nargs="+", help="measure nothing: tell of the JSON of several runs as one"
    )
    parser.add_argument("--seed", type=int, help="of the order of the runs")
    parser.add_argument("--json", metavar="F", help="write all measurements to this file")
    parser.add_argument("--svg", metavar="F", help="draw ratios, limits and rates into this file")
    options = parser.parse_args(arguments)
    if unknown := set(options.suites) - SUITES.keys():
        parser.error(f"no suite is called {', '.join(sorted(unknown))}")
    options.pairs = options.pairs or (QUICK_PAIRS if options.quick else PAIRS)
    return options


def _contests(options: argparse.Namespace) -> Generator[Contest, None, None]:
    """Yield the contests that are asked for, with the peers that are."""
    scale = QUICK if options.quick else Scale()
    if options.congestion != network.KEEP:
        scale = dataclasses.replace(scale, wan_congestion=options.congestion or "")
    if options.size:
        scale = dataclasses.replace(scale, large=options.size)
    for name in options.suites or DEFAULT:
        for contest in SUITES[name](scale):
            peers = contest.peers
            if options.only_targets:
                peers = tuple(peer for peer in peers if is_wanted(contest.name, peer.label))
            if options.peers:
                begin = (OURS, *options.peers.split(","))
                peers = tuple(peer for peer in peers if peer.label.startswith(begin))
            if peers:
                yield dataclasses.replace(contest, peers=peers)


if __name__ == "__main__":
    # Whoever ends a long run by a signal means its servers and its gigabytes in memory, too: as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
