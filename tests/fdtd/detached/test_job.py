"""One detached job while it runs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from authsvc.delegation import Delegated
from fdtcp.errors import Abandoned, Phase, Side
from fdtcp.model.job import group
from fdtcp.model.options import Options
from fdtcp.model.order import Outcome, State
from fdtcp.stages import Stage
from fdtd.detached.job import DetachedJob, Owner
from fdtd.detached.loan import Loan
from fdtd.detached.store import DetachedStore, StoredJob
from fdtd.errors import StateFailed
from tests.helpers.detachedroom import ACCOUNT, Room, transfers

WHY = Abandoned("enough").problem(Side.DESTINATION, Phase.TRANSFER)
WITHIN_S = 20.0


def begin(room: Room, files: int) -> tuple[DetachedJob, int]:
    owner = Owner(room.caller.identity, ACCOUNT)
    loan = Loan(room.settings.service.state_dir, Delegated(b"secret", time.time() + 60, limited=False))
    job = DetachedJob(owner, "a" * 32, group(transfers(files)), room.store, loan, room.desks.memory.share(owner.dn))
    parts = job.prepare(Options(), room.pair.open, 5.0)
    stored = StoredJob(0, owner.dn, ACCOUNT, job.name, time.time(), 0.0, files, parts, None, 0.0, cancelled=False)
    number = room.store.begin(stored, [])
    with room.store.transaction() as db:
        db.executemany("INSERT INTO wanted VALUES (?, ?, '', '', 0)", ((number, at) for at in range(files)))
    job.start(number)
    return job, number


def states(room: Room, number: int) -> list[State]:
    return [one.state for one in sorted(room.store.outcomes(number, 0, 9), key=lambda one: one.index)]


def test_a_job_ends_with_all_outcomes_written_and_its_proxy_gone(room: Room, tmp_path: Path) -> None:
    room.pair.sizes = {b"/0": 5, b"/1": 6}
    job, number = begin(room, 3)
    job.wait_news(0, time.monotonic() + WITHIN_S)
    assert room.store.outcomes(number, 0, 9)
    assert job.wait_ended(WITHIN_S)
    assert states(room, number) == [State.DONE, State.DONE, State.FAILED]
    assert not list(tmp_path.glob("*.pem"))
    (part,) = room.store._jobs("id = ?", (number,))[0].parts
    assert (part.stage, part.done, part.failed, part.total) == (Stage.ENDED.value, 2, 1, 11)
    assert {"begun", "described"} <= {step.name for step in part.steps}
    assert job.parts()[0].streams


def test_a_stopped_job_fails_what_is_left_for_the_first_reason(room: Room) -> None:
    room.pair.sizes = {b"/0": 5}
    room.pair.is_stalled = True
    job, number = begin(room, 1)
    job.stop(WHY, is_cancelled=True)
    job.stop(Abandoned("later").problem(Side.DESTINATION, Phase.TRANSFER))
    assert job.wait_ended(WITHIN_S)
    (outcome,) = room.store.outcomes(number, 0, 9)
    assert (outcome.state, outcome.problem) == (State.FAILED, WHY)
    assert room.store._jobs("id = ?", (number,))[0].cancelled


def test_outcomes_wait_for_a_disk_that_is_full(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("fdtd.detached.job.SAVE_AGAIN_S", 0.05)
    room.pair.sizes = {b"/0": 5}
    record, failures = DetachedStore.record, iter([1, 1, 1])

    def fail(store: DetachedStore, number: int, outcomes: list[Outcome]) -> None:
        if next(failures, None):
            raise StateFailed("disk full")
        record(store, number, outcomes)

    monkeypatch.setattr(DetachedStore, "record", fail)
    job, number = begin(room, 1)
    assert job.wait_ended(WITHIN_S)
    assert states(room, number) == [State.DONE]
    assert "disk full" in caplog.text


def test_a_job_whose_end_cannot_be_written_down_ends_all_the_same(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room.pair.sizes = {b"/0": 1}

    def fail(_number: int) -> list[int]:
        raise KeyError("a bug")

    monkeypatch.setattr(room.store, "without_end", fail)
    job, _ = begin(room, 1)
    assert job.wait_ended(WITHIN_S)
    assert job.is_ended
    assert room.desks.memory.taken() == 0
    assert "event=detached-unsaved" in caplog.text
