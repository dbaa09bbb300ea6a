"""A mounted file system that takes bytes in order only; the contract is in tests/contract."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.errors import DestinationExists
from fdtd.storage import posix_partial
from fdtd.storage.kernel import NoSafeRename
from fdtd.storage.names import partial_name
from fdtd.storage.paths import Prefixes
from fdtd.storage.sequential import LOOKED_FIRST, SequentialDestinations


@pytest.fixture
def destinations(tmp_path: Path) -> Iterator[SequentialDestinations]:
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        found = SequentialDestinations(prefixes)
        yield found
        found.close()


@pytest.fixture
def no_safe_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_directory: int, _old: bytes, new: bytes) -> None:
        raise NoSafeRename(errno.EPERM, "no links here", new)

    monkeypatch.setattr(posix_partial, "rename_without_clobber", refuse)


def test_the_file_only_ever_grows(destinations: SequentialDestinations, tmp_path: Path) -> None:
    partial = destinations.claim(os.fsencode(tmp_path / "file"), 0o600, journal=True)
    temporary = tmp_path / os.fsdecode(partial_name(b"file"))
    seen = []
    for offset in (3, 0, 9, 6):
        partial.write(memoryview(b"abc"), offset)
        partial.accept(offset, 3, 12)
        seen.append(temporary.read_bytes())
    assert seen == [b"", b"abcabc", b"abcabc", b"abcabcabcabc"]
    partial.remove()
    partial.close()
    assert not list(tmp_path.iterdir())


def test_each_file_is_synced_by_itself_and_its_name_after_it(
    destinations: SequentialDestinations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    partial = destinations.claim(os.fsencode(tmp_path / "file"), 0o600, journal=False)
    partial.volume.sync()
    partial.publish(replace=False)
    partial.volume.sync()
    partial.close()
    assert synced == [str(tmp_path / os.fsdecode(partial_name(b"file"))), str(tmp_path)]


@pytest.mark.usefixtures("no_safe_rename")
def test_without_a_safe_rename_we_look_first_and_say_so(destinations: SequentialDestinations, tmp_path: Path) -> None:
    partial = destinations.claim(os.fsencode(tmp_path / "file"), 0o600, journal=False)
    assert partial.promise == ""
    partial.publish(replace=False)
    partial.close()
    assert partial.promise == LOOKED_FIRST
    second = destinations.claim(os.fsencode(tmp_path / "file"), 0o600, journal=False)
    with pytest.raises(DestinationExists):
        second.publish(replace=False)
    second.remove()
    second.close()
