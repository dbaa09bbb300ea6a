"""What errors of a POSIX file system mean, and what a partial does about intruders; the rest is in tests/contract."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.errors import DestinationBlocked, DestinationVanished
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_destination import PosixDestinations
from fdtd.storage.posix_partial import PosixPartial, destination_error


@pytest.fixture
def partial(tmp_path: Path) -> Iterator[PosixPartial]:
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        destinations = PosixDestinations(prefixes)
        claimed = destinations.claim(os.fsencode(tmp_path / "file"), 0o600, journal=True)
        yield claimed
        claimed.close()
        destinations.close()


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
