"""A file that was there before is the same only if nobody touches it while it is compared."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fdtcp.errors import DestinationExists, FdtError
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_destination import PosixDestinations


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"other"),
        lambda path: path.rename(path.with_name("aside")),
        lambda path: os.utime(path, ns=(0, 0)),
    ],
    ids=["rewritten", "removed", "touched"],
)
def test_a_change_is_noticed(tmp_path: Path, change: Callable[[Path], object]) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"content")
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        destinations = PosixDestinations(prefixes)
        existing = destinations.open_existing(os.fsencode(target))
        existing.publish(replace=False)
        change(target)
        with pytest.raises(FdtError):
            existing.publish(replace=False)
        existing.close()
        destinations.close()


@pytest.mark.root
def test_what_may_not_be_read_cannot_be_compared(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"content")
    target.chmod(0)
    tmp_path.chmod(0o755)
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        destinations = PosixDestinations(prefixes)
        destinations.look(os.fsencode(target))
        os.seteuid(65534)
        try:
            with pytest.raises(DestinationExists, match="may not be read"):
                destinations.open_existing(os.fsencode(target))
        finally:
            os.seteuid(0)
        destinations.close()
