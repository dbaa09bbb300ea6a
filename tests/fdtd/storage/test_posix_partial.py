"""What errors of a POSIX file system mean, and what a partial does about intruders; the rest is in tests/contract."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from fdtcp.errors import DestinationBlocked, DestinationFailed, DestinationVanished
from fdtcp.model.order import Sync
from fdtd.mover.commit import Item, commit
from fdtd.storage import posix_partial
from fdtd.storage.base import Committable
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_destination import PosixDestinations
from fdtd.storage.posix_partial import PosixPartial, destination_error


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "destination-full"),
        (errno.EDQUOT, "destination-full"),
        (errno.EROFS, "destination-unwritable"),
        (errno.EACCES, "destination-unwritable"),
        (errno.ELOOP, "destination-blocked"),
        (errno.ENOTDIR, "destination-blocked"),
        (errno.EXDEV, "path-refused"),
        (errno.EIO, "destination-failed"),
        (errno.EBADF, "destination-failed"),
    ],
)
def test_each_error_has_its_meaning(number: int, code: str) -> None:
    error = destination_error(b"/to/file", OSError(number, os.strerror(number)))
    assert error.code == code and "/to/file" in error.reason


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


def fail_first_call(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> list[int]:
    """Play a kernel that has lost a write, says so once, and then believes itself."""
    calls: list[int] = []

    def call(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module, name, call)
    return calls


def test_nothing_on_a_file_system_is_safe_after_its_sync_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posix_partial, "has_honest_syncfs", lambda _: True)
    calls = fail_first_call(monkeypatch, posix_partial, "sync_file_system")
    (tmp_path / "old").write_bytes(b"x")
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        destinations = PosixDestinations(prefixes)
        partial = destinations.claim(os.fsencode(tmp_path / "file"), 0o600, journal=True)
        existing = destinations.open_existing(os.fsencode(tmp_path / "old"))
        with pytest.raises(DestinationFailed, match="the file system"):
            partial.volume.sync()
        for step in (partial.volume.sync, partial.sync, partial.sync_data, partial.sync_name, existing.sync_name):
            with pytest.raises(DestinationFailed, match="the file system"):
                step()
        with pytest.raises(DestinationFailed, match="the file system"):
            destinations.claim(os.fsencode(tmp_path / "new"), 0o600, journal=True)
        existing.close()
        partial.remove()
        partial.close()
        destinations.close()
    assert len(calls) == 1 and os.listdir(tmp_path) == ["old"]


def test_the_names_of_a_directory_are_not_safe_after_its_sync_has_failed(
    partial: PosixPartial, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = fail_first_call(monkeypatch, os, "fsync")
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


def test_where_syncfs_cannot_be_believed_each_file_and_its_name_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        synced.append("name" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(posix_partial, "has_honest_syncfs", lambda _: False)
    (tmp_path / "old").write_bytes(b"x")
    lost: list[object] = []
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        destinations = PosixDestinations(prefixes)
        existing = destinations.open_existing(os.fsencode(tmp_path / "old"))
        paths = [os.fsencode(tmp_path / name) for name in ("a", "b")]
        files: list[Committable] = [destinations.claim(path, 0o600, journal=False) for path in paths]
        items = [Item(index, file, 0o600, 5, replace=False) for index, file in enumerate([*files, existing])]
        results = commit(items, Sync.BATCH, lambda volume, _: lost.append(volume))
        for item, error in results:
            assert error is None
            item.partial.close()
        destinations.close()
    assert synced == ["file"] * 3 + ["name"] * 3 and not lost
