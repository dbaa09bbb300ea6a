"""What a sweep removes and what it leaves."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from fdtcp.model.order import Checksum, Extent, Role, Setup, Sweep
from fdtd.mover.journal import Identity, encode_records, encode_start
from fdtd.storage.names import journal_name, partial_name
from tests.helpers.movers import Mover


def leave(directory: Path, name: str, *, journalled: int) -> Path:
    """Leave a partial; returns it."""
    raw = os.fsencode(name)
    partial = directory / os.fsdecode(partial_name(raw))
    partial.write_bytes(bytes(1000))
    if journalled:
        identity = Identity(b"s", 1000, 1, Checksum.ADLER32, partial.stat().st_ino)
        journal = directory / os.fsdecode(journal_name(raw))
        journal.write_bytes(encode_start(identity) + encode_records([Extent(0, journalled, 1)]))
    return partial


def sweep(directory: Path, *names: str, discard: bool) -> list[tuple[bytes, int]]:
    with Mover(Setup(Role.SWEEPER, "0" * 32, (os.fsencode(directory),))) as mover:
        mover.say(Sweep(tuple(os.fsencode(directory / name) for name in names), discard))
        assert mover.wait_end().problem is None
        return mover.kept


@pytest.mark.parametrize("discard", [False, True])
def test_journalled_partials_stay_unless_discarded(tmp_path: Path, discard: bool) -> None:
    leave(tmp_path, "bare", journalled=0)
    kept = leave(tmp_path, "kept", journalled=600)
    (tmp_path / "final").write_bytes(b"x")
    names = ("bare", "kept", "final", "missing", "no/such/directory")
    assert sweep(tmp_path, *names, discard=discard) == ([] if discard else [(os.fsencode(kept), 600)])
    left = {"final"} if discard else {"final", kept.name, kept.name.replace(".part", ".journal")}
    assert set(os.listdir(tmp_path)) == left


def test_a_live_writers_partial_is_not_touched(tmp_path: Path) -> None:
    partial, other = leave(tmp_path, "busy", journalled=0), leave(tmp_path, "other", journalled=0)
    with partial.open("rb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with Mover(Setup(Role.SWEEPER, "0" * 32, (os.fsencode(tmp_path),))) as mover:
            mover.say(Sweep((os.fsencode(tmp_path / "busy"), os.fsencode(tmp_path / "other")), discard=True))
            problem = mover.wait_end().problem
        assert problem is not None and problem.code == "destination-busy", "who asked is told, and asks again"
        assert partial.exists() and not other.exists()


def test_one_bad_path_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    leave(tmp_path / "in", "a", journalled=0)
    with Mover(Setup(Role.SWEEPER, "0" * 32, (os.fsencode(tmp_path / "in"),))) as mover:
        mover.say(Sweep((b"/outside", os.fsencode(tmp_path / "in/a")), discard=False))
        problem = mover.wait_end().problem
    assert problem is not None and problem.code == "path-refused"
    assert not os.listdir(tmp_path / "in")
