"""`fdtcp demo`: the main job from end to end on this machine, with real certificates, daemons and data.

Decides what is shown and that nothing stays: a throw-away laboratory is made, a data set is moved by the real `fdtcp`,
every file is compared by a checksum that shares no code with the transfer's, and all but the report is removed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import field
from typing import Any, Final

from fdtcp.cli.arguments import Parser
from fdtcp.cli.dataset import DataSet, make_data_set
from fdtcp.cli.lab import DESTINATION, SOURCE, Lab, LabFailed, account
from fdtcp.cli.signals import Signals
from fdtcp.errors import FdtError, Interrupted, Status, UsageError
from fdtcp.units import GIB, MIB, format_bit_rate, format_duration, format_rate, format_size, parse_size
from fdtcp.value import dataclass

DEFAULT_SIZE: Final = 2 * GIB
# Room for the daemons' logs, journals and the file system's own needs.
_SPARE_BYTES: Final = 64 * MIB
# fdtcp itself ends within 7 s of a signal.
_STOP_WITHIN_S: Final = 8.0
# Enough for a terabyte on a slow disk; a hanging demonstration should end some time.
_TRANSFER_WITHIN_S: Final = 6 * 3600.0
_POLL_S: Final = 0.2
_PIECE: Final = MIB


@dataclass(slots=True)
class Tally:
    """What the demonstration found out."""

    files: int = 0
    size: int = 0
    moved: int = 0
    seconds: float = 0.0
    compared: int = 0
    wrong: list[str] = field(default_factory=list)
    paths: dict[str, int] = field(default_factory=dict)


def main(arguments: Sequence[str]) -> int:
    """Run the demonstration and return its exit code."""
    signals = Signals()
    try:
        options = _parse(arguments)
        return _show(options.size, options.keep, signals)
    except FdtError as exc:
        print(f"fdtcp demo: {exc} [{exc.code}]", file=sys.stderr)
        return int(Status.USAGE if isinstance(exc, UsageError) else Status.GENERAL)
    except ImportError as exc:
        print(f"fdtcp demo: {exc.name} is not installed: make the environment with `make demo`", file=sys.stderr)
    except OSError as exc:
        print(f"fdtcp demo: {exc.filename or 'the demonstration'}: {exc.strerror or exc}", file=sys.stderr)
    return int(Status.GENERAL)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    def size(text: str) -> int:
        try:
            return max(parse_size(text), MIB)
        except ValueError as exc:
            raise argparse.ArgumentTypeError(str(exc)) from exc

    parser = Parser(prog="fdtcp demo", description="Show a transfer between two daemons on this machine.")
    parser.add_argument("--size", type=size, default=DEFAULT_SIZE, help="bytes to move (default: 2GiB)")
    parser.add_argument("--keep", metavar="DIR", help="work in this new directory, and leave it there")
    return parser.parse_args(arguments)


def _show(size: int, keep: str | None, signals: Signals) -> int:
    with ExitStack() as stack:
        directory = stack.enter_context(_workplace(keep))
        _check_space(directory, 2 * size + _SPARE_BYTES)
        if os.geteuid() == 0:
            _say("running as root: the daemons run as root, too, which they accept on loopback only (allow_root_self)")
        _say(f"making a CA, two host certificates, and a proxy for {account()} in {directory}")
        lab = stack.enter_context(Lab(directory))
        lab.make()
        _say(f"making {format_size(size)} of data")
        data = make_data_set(lab.data(SOURCE), size, signals.is_caught)
        _check_signals(signals)
        for host in (SOURCE, DESTINATION):
            daemon = lab.start(host)
            _say(f"{host.name}: fdtd takes commands at {daemon.authority}, data at {', '.join(host.data)}")
        report = _report_path(directory if keep else tempfile.gettempdir())
        tally = Tally(len(data.names) + len(data.blank_names), data.size)
        code = _transfer(lab, data, report, tally, signals)
        _check_signals(signals)
        _say("comparing every file by SHA-256")
        _compare(lab, data, tally, signals)
        _check_signals(signals)
        lab.stop()
        _sum_up(tally, report, code)
        return code or int(bool(tally.wrong))


@contextmanager
def _workplace(keep: str | None) -> Iterator[str]:
    if keep is not None:
        os.mkdir(keep, 0o700)
        yield os.path.abspath(keep)
        return
    directory = tempfile.mkdtemp(prefix="fdtcp-demo-")
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _check_space(directory: str, needed: int) -> None:
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise LabFailed(
            f"{directory} has {format_size(free)} free, and {format_size(needed)} are needed",
            remedy="choose a smaller --size, or another place with TMPDIR",
        )


def _report_path(directory: str) -> str:
    # In a directory where everybody may write, a name that nobody can have taken before us.
    descriptor, path = tempfile.mkstemp(prefix="fdtcp-demo-", suffix=".report", dir=directory)
    os.close(descriptor)
    return path


def _transfer(lab: Lab, data: DataSet, report: str, tally: Tally, signals: Signals) -> int:
    """Move all files: the most by a copyjobfile, those with blanks in their names as arguments."""
    copyjob = os.path.join(lab.directory, "copyjob")
    with open(copyjob, "w", encoding="utf-8") as file:
        file.writelines(f"{lab.pfn(SOURCE, name)} {lab.pfn(DESTINATION, name)}\n" for name in data.names)
    code = _run_fdtcp(lab, ["--copyjobfile", copyjob, "--report", report], tally, signals)
    for name in data.blank_names:
        _check_signals(signals)
        _say(f"and as arguments, because of its blanks: {name!r}")
        pair = [lab.pfn(SOURCE, name), lab.pfn(DESTINATION, name)]
        part = os.path.join(lab.directory, "report")
        code = _run_fdtcp(lab, ["--report", part, *pair], tally, signals) or code
        if os.path.exists(part):
            with open(part, "rb") as more, open(report, "ab") as whole:
                whole.write(more.read())
    return code


def _run_fdtcp(lab: Lab, arguments: Sequence[str], tally: Tally, signals: Signals) -> int:
    """Run the real command with its output on our terminal; a signal for us is passed on."""
    result = os.path.join(lab.directory, "result.json")
    command = [sys.executable, "-m", "fdtcp", "--json", result, *arguments]
    sys.stdout.flush()
    process = subprocess.Popen(command, env=lab.environment, stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + _TRANSFER_WITHIN_S
    while process.poll() is None:
        if signals.is_caught() or time.monotonic() > deadline:
            process.terminate()
            try:
                process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            break
        try:
            process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            continue
    if os.path.exists(result):
        with open(result, encoding="ascii") as file:
            _count(json.load(file), tally)
        os.unlink(result)
    return process.returncode


def _count(result: dict[str, Any], tally: Tally) -> None:  # Any: JSON
    tally.moved += result["moved"]
    tally.seconds += result["seconds"]
    for path in result["paths"]:
        name = " <-> ".join(path["addresses"])
        tally.paths[name] = tally.paths.get(name, 0) + path["moved"]


def _compare(lab: Lab, data: DataSet, tally: Tally, signals: Signals) -> None:
    """Compare every file of the source with that of the destination, two at a time."""

    def is_same(name: str) -> bool:
        if signals.is_caught():
            return False
        source, destination = (os.path.join(lab.data(host), name) for host in (SOURCE, DESTINATION))
        return os.path.exists(destination) and _digest(source) == _digest(destination)

    names = (*data.names, *data.blank_names)
    with ThreadPoolExecutor(max_workers=2) as pool:
        for name, same in zip(names, pool.map(is_same, names), strict=True):
            tally.compared += same
            if not same:
                tally.wrong.append(name)


def _digest(path: str) -> bytes:
    digest = hashlib.sha256()
    buffer = bytearray(_PIECE)
    view = memoryview(buffer)
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(view[:count])
    return digest.digest()


def _sum_up(tally: Tally, report: str, code: int) -> None:
    rate = tally.moved / tally.seconds if tally.seconds else 0.0
    rows = [
        ("files", f"{tally.files}, {format_size(tally.size)}"),
        ("moved", f"{format_size(tally.moved)} in {format_duration(tally.seconds)}"),
        ("rate", f"{format_rate(rate)} ({format_bit_rate(rate)}), commands to the last safe file"),
        *(
            (f"path {number}", f"{path}: {format_size(moved)}")
            for number, (path, moved) in enumerate(tally.paths.items(), 1)
        ),
        ("the same", f"{tally.compared} of {tally.files} files by SHA-256"),
        ("report", report),
        ("result", "all files are safe" if not code and not tally.wrong else f"FAILED (fdtcp's exit code: {code})"),
    ]
    print()
    for name, text in rows:
        print(f"  {name:<10} {text}")
    for name in tally.wrong[:10]:
        print(f"  DIFFERENT  {name}")
    print(flush=True)


def _check_signals(signals: Signals) -> None:
    if signals.is_caught():
        raise Interrupted("stopped by a signal", remedy="everything that was made is removed")


def _say(text: str) -> None:
    print(f"-- {text}", flush=True)
