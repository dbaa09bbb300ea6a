"""What a partial does about intruders; the rest is in tests/contract."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from fdtcp.errors import DestinationBlocked, DestinationFailed, DestinationVanished
from fdtcp.model.order import Sync
from fdtd.mover.commit import Item, commit
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_destination import PosixDestinations
from fdtd.storage.posix_partial import PosixPartial


def test_a_removed_or_replaced_partial_is_not_published(partial: PosixPartial, tmp_path: Path) -> None:
    own = Path(os.fsdecode(partial.path))
    own.rename(tmp_path / "aside")
    with pytest.raises(DestinationVanished, match="removed"):
        partial.publish(replace=True)
    own.write_bytes(b"another")
    with pytest.raises(DestinationVanished, match="replaced"):
        partial.publish(replace=True)
    partial.remove()
    assert own.read_bytes() == b"another"


def test_a_directory_under_the_final_name_stays(partial: PosixPartial, tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(DestinationBlocked):
        partial.publish(replace=True)


def test_publishing_removes_the_journal(partial: PosixPartial, tmp_path: Path) -> None:
    partial.append_journal(b"x")
    assert len(os.listdir(tmp_path)) == 2
    partial.publish(replace=False)
    assert os.listdir(tmp_path) == ["file"]


def test_retracting_takes_away_only_our_own_file(partial: PosixPartial, tmp_path: Path) -> None:
    partial.publish(replace=False)
    (tmp_path / "file").unlink()
    (tmp_path / "file").write_bytes(b"theirs")
    partial.retract()
    assert (tmp_path / "file").read_bytes() == b"theirs"


def test_the_names_of_a_directory_are_not_safe_after_its_sync_has_failed(
    partial: PosixPartial, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def fail_once(descriptor: int) -> None:
        """Play a kernel that has lost a write, says so once, and then believes itself."""
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail_once)
    for _ in range(2):
        with pytest.raises(DestinationFailed):
            partial.sync_name()
    assert len(calls) == 1


def test_a_closed_partial_does_nothing_to_the_file_that_has_its_number_now(
    partial: PosixPartial, tmp_path: Path
) -> None:
    number = partial.descriptor
    partial.close()
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        assert other == number
        for step in (
            lambda: partial.write(memoryview(b"x"), 0),
            lambda: partial.dress(0o644, 5),
            partial.sync,
            partial.sync_data,
            partial.facts,
        ):
            with pytest.raises(DestinationFailed):
                step()
        partial.close()
        assert (os.fstat(other).st_size, os.fstat(other).st_mode & 0o777) == (0, 0o600)
    finally:
        os.close(other)


@pytest.mark.parametrize("replace", [False, True])
def test_a_file_is_not_done_whose_directory_was_moved_away(tmp_path: Path, replace: bool) -> None:
    """It used to be called done under a path where it is not."""
    (tmp_path / "to").mkdir()
    results = []
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        destinations = PosixDestinations(prefixes)
        for name in ("first", "second"):
            partials = [
                destinations.claim(os.fsencode(tmp_path / "to" / (name + n)), 0o600, journal=False) for n in "ab"
            ]
            if name == "first":
                (tmp_path / "to").rename(tmp_path / "aside")
                (tmp_path / "to").mkdir()
            items = [Item(index, partial, 0o600, 5, replace=replace) for index, partial in enumerate(partials)]
            results.append([error for _, error in commit(items, Sync.BATCH, lambda *_: None)])
            for partial in partials:
                partial.close()
        destinations.close()
    assert all(isinstance(error, DestinationVanished) and "moved away" in error.reason for error in results[0])
    # What was already there may have been replaced: the only whole copy is not removed.
    assert sorted(os.listdir(tmp_path / "aside")) == (["firsta", "firstb"] if replace else [])
    assert results[1] == [None, None] and sorted(os.listdir(tmp_path / "to")) == ["seconda", "secondb"]
