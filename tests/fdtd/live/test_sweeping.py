"""Cleaning up with sweepers that really sweep."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from fdtcp.errors import MoverDied, Phase, Side
from fdtcp.model.order import DestinationFile, Ended, Kept, KeptPartial, Outcome, Progress, State
from fdtd.live.sweeping import StillBusy, Sweeping, _Report
from fdtd.processes.launcher import Launcher
from fdtd.sessions.machine import SessionKey
from fdtd.site.paths import partial_path
from fdtd.state.statefile import StateFile
from tests.fdtd.conftest import SAME
from tests.helpers.daemons import own_account, wait_until

KEY = SessionKey("/CN=me", own_account(), "a" * 32, Side.DESTINATION)


@dataclass
class House:
    directory: Path
    state: StateFile
    sweeping: Sweeping

    def path(self, name: str) -> bytes:
        return os.fsencode(self.directory / name)

    def partial(self, name: str) -> Path:
        """Leave a partial without a journal: nothing in it is safe."""
        path = Path(os.fsdecode(partial_path(self.path(name))))
        path.write_bytes(b"unsafe")
        return path


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        yield _house(stack, tmp_path)


def _house(stack: ExitStack, directory: Path, *command: str) -> House:
    (directory / "transfers").mkdir()
    state = stack.enter_context(closing(StateFile(str(directory))))
    launcher = stack.enter_context(Launcher(SAME, command or None))
    sweeping = stack.enter_context(Sweeping(launcher, state, str(directory), (b"/",), keep=100.0))
    return House(directory, state, sweeping)


def file(house: House, index: int, name: str) -> DestinationFile:
    return DestinationFile(index, house.path(name), 10, 0, 0o644, b"fdt://s/f")


def test_a_sweep_removes_what_is_not_safe_and_touches_nothing_else(house: House) -> None:
    partial = house.partial("a")
    (house.directory / "a").write_bytes(b"somebody's file")
    assert house.sweeping.run(own_account(), [house.path("a"), house.path("b")], discard=False) == []
    assert not partial.exists()
    assert (house.directory / "a").read_bytes() == b"somebody's file"


def test_many_paths_are_swept_in_chunks(house: House) -> None:
    partials = [house.partial(f"f{index}") for index in range(1200)]
    house.sweeping.run(own_account(), [house.path(f"f{index}") for index in range(1200)], discard=False)
    assert not any(partial.exists() for partial in partials)
    assert len(list((house.directory / "transfers").iterdir())) == 2


def test_a_killed_daemons_sessions_are_ended_at_the_next_start(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fdtd.live.sweeping.ORPHANED_MOVER_S", 0.1)
    number = house.state.open_session(KEY, 0.0)
    house.state.expect(number, [file(house, 0, "a"), file(house, 1, "b")])
    house.state.record(number, KEY.account, 0, [Outcome(0, State.DONE, 10)])
    partial = house.partial("b")
    house.sweeping.start(outcomes_kept=1e9)
    assert wait_until(lambda: house.state.unfinished() == [])
    first, second = house.state.outcomes(number, 0, 10)
    assert (first.state, second.state) == (State.DONE, State.FAILED)
    assert second.problem is not None and second.problem.retryable
    assert not partial.exists()


def test_what_has_expired_is_removed_and_off_the_list(house: House) -> None:
    partial = house.partial("a")
    kept = KeptPartial(os.fsencode(partial), 6)
    house.state.keep(1, own_account(), [(house.path("a"), kept)], due=time.time() - 1)
    house.state.keep(1, own_account(), [(house.path("later"), kept)], due=time.time() + 1000)
    house.sweeping.start(outcomes_kept=1e9)
    assert wait_until(lambda: not partial.exists())
    assert wait_until(lambda: [one.destination for one in house.state.leftovers()] == [house.path("later")])


def test_sessions_that_nobody_came_back_for_are_forgotten(house: House) -> None:
    number = house.state.open_session(KEY, 0.0)
    house.state.end(number, None, time.time() - 100)
    house.sweeping.start(outcomes_kept=50.0)
    assert wait_until(lambda: house.state.find(KEY) is None)


def test_a_sweep_that_failed_is_told_and_tried_again_later(tmp_path: Path) -> None:
    with ExitStack() as stack:
        house = _house(stack, tmp_path, sys.executable, "-I", "-c", "raise SystemExit(4)")
        with pytest.raises(MoverDied):
            house.sweeping.run(own_account(), [house.path("a")], discard=False)
        house.state.keep(1, own_account(), [(house.path("a"), KeptPartial(b"/p", 1))], due=1.0)
        house.sweeping.start(outcomes_kept=1e9)
        assert wait_until(lambda: house.state.leftovers()[0].due > time.time() + 3000)


def test_a_sweeper_that_hangs_does_not_hold_the_leaving_daemon(tmp_path: Path) -> None:
    script = "import sys, time\nsys.stdin.read()\n"
    with ExitStack() as stack:
        house = _house(stack, tmp_path, sys.executable, "-I", "-c", script)
        house.state.keep(1, own_account(), [(house.path("a"), KeptPartial(b"/p", 1))], due=1.0)
        house.sweeping.start(outcomes_kept=1e9)
        assert wait_until(lambda: any((tmp_path / "transfers").iterdir()))
        begun = time.monotonic()
    assert time.monotonic() - begun < 5.0


def test_what_somebody_still_holds_is_swept_later_and_the_rest_now(house: House) -> None:
    held, free = house.partial("held"), house.partial("free")
    house.state.keep(1, own_account(), [(house.path("held"), KeptPartial(os.fsencode(held), 6))], due=1.0)
    with held.open("rb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(StillBusy):
            house.sweeping.run(own_account(), [house.path("held"), house.path("free")], discard=True)
        assert held.exists() and not free.exists()
        house.sweeping.start(outcomes_kept=1e9)
        assert wait_until(lambda: house.state.leftovers()[0].due > time.time() + 3000)


def test_a_sweeper_that_talks_without_end_fills_no_memory() -> None:
    report = _Report([b"/d/f"])
    mine, strange = KeptPartial(partial_path(b"/d/f"), 5), KeptPartial(b"/d/.g.part", 5)
    for _ in range(1000):
        report.hear(Kept((mine, strange)))
        report.hear(Progress(1, 0, ()))
    assert list(report.kept.values()) == [mine]
    with pytest.raises(MoverDied, match="without a word"):
        report.check_end()
    report.hear(Ended())
    report.hear(Ended(StillBusy("late").problem(Side.DESTINATION, Phase.CLEANUP)))
    assert report.has_ended and report.check_end() is None
