"""Syncs of a file system that fail, or that nobody can believe."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from fdtcp.errors import DestinationFailed
from fdtcp.model.order import Sync
from fdtd.mover.commit import Item, commit
from fdtd.storage import posix_volume
from fdtd.storage.base import Committable
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_destination import PosixDestinations


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
    monkeypatch.setattr(posix_volume, "has_honest_syncfs", lambda _: True)
    calls = fail_first_call(monkeypatch, posix_volume, "sync_file_system")
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


def test_where_syncfs_cannot_be_believed_each_file_and_its_name_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        synced.append("name" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(posix_volume, "has_honest_syncfs", lambda _: False)
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
