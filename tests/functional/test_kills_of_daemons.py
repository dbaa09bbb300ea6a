"""Movers and daemons are killed at random bytes of a job that the command has begun.

What is left at the destination is what its daemon has in its books, and the next command goes on from all of that.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from fdtcp.cli.lab import DESTINATION
from fdtd.storage.names import journal_of_partial
from tests.helpers.clilab import CliLab, cli_lab, wait_until
from tests.helpers.dataset import is_same

MIB = 1 << 20


def mover_of(lab: CliLab, side: str) -> psutil.Process:
    daemon = psutil.Process(lab.lab.daemons[side].process.pid)
    (mover,) = [child for child in daemon.children(recursive=True) if "fdtd.mover.program" in child.cmdline()]
    return mover


def partials(lab: CliLab, base: str) -> list[Path]:
    return list((lab.destination / base).glob(".*.part"))


def in_the_books(lab: CliLab) -> dict[bytes, int]:
    """Return the partials that the destination's daemon has registered, which are still there."""
    path = Path(lab.lab.directory) / DESTINATION.name / "state" / "fdtd.sqlite"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
        rows = db.execute("SELECT partial, size FROM leftovers").fetchall()
    return {partial: size for partial, size in rows if os.path.exists(partial)}


def restart(lab: CliLab) -> None:
    """Kill the destination's daemon, and start it again."""
    daemon = lab.lab.daemons[DESTINATION.name]
    daemon.process.kill()
    daemon.process.wait()
    assert daemon.process.stdout is not None
    daemon.process.stdout.close()
    lab.lab.start(DESTINATION)


def kill_through_the_stack(lab: CliLab, victim: str, rng: random.Random) -> int:
    """Kill in the middle of a real job; returns how much of it was kept for the next one."""
    base = lab.fresh()
    sizes = {f"{base}/large": 24 * MIB + rng.randrange(MIB), f"{base}/small": 1000, f"{base}/other": 3 * MIB}
    names = [lab.make(name, size) for name, size in sizes.items()]
    process = lab.start("--rate-limit", "10MB", "--copyjobfile", lab.copyjob(names))
    # The first journal is written after a second; and half a second before the end nobody has left yet.
    point = rng.randrange(12 * MIB, 18 * MIB)
    wait_until(lambda: any(path.stat().st_blocks * 512 >= point for path in partials(lab, base)))
    if victim == "destination daemon":
        restart(lab)
    else:
        movers = [mover_of(lab, side) for side in ("source", "destination")]
        for mover in movers:
            mover.send_signal(signal.SIGKILL)
    lab.wait(process, 0.0)
    registered: dict[bytes, int] = {}

    def is_swept() -> bool:
        registered.clear()
        registered.update({path: size for path, size in in_the_books(lab).items() if base.encode() in path})
        known = set(registered) | {journal_of_partial(path) for path in registered}
        return known == {os.fsencode(lab.destination / base / name) for name in lab.left_behind(base)}

    wait_until(is_swept, 20.0)
    ended = lab.run("--copyjobfile", lab.copyjob(names))
    assert set(ended.states()) <= {"done", "skipped"}, ended.output
    assert sum(file["kept"] for file in ended.result["files"]) == sum(registered.values())
    assert all(is_same(lab.source / name, lab.destination / name) for name in names)
    assert lab.left_behind(base) == []
    return sum(registered.values())


def test_both_movers_of_a_job_are_killed_at_a_random_byte() -> None:
    with cli_lab() as lab:
        assert kill_through_the_stack(lab, "both movers", random.Random()) > 0  # noqa: S311  # no secret


@pytest.mark.long
@pytest.mark.timeout(300)
def test_movers_and_daemons_are_killed_at_random_bytes() -> None:
    with cli_lab() as lab:
        for round_ in range(10):
            victim = ("both movers", "destination daemon")[round_ % 2]
            kept = kill_through_the_stack(lab, victim, random.Random())  # noqa: S311  # no secret
            print(victim, "kept", kept)  # noqa: T201  # shown with -s
