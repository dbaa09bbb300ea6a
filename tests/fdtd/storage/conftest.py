"""What several tests of storage begin with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_destination import PosixDestinations
from fdtd.storage.posix_partial import PosixPartial


@pytest.fixture
def partial(tmp_path: Path) -> Iterator[PosixPartial]:
    """Return a claimed partial of the file system."""
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        destinations = PosixDestinations(prefixes)
        claimed = destinations.claim(os.fsencode(tmp_path / "file"), 0o600, journal=True)
        yield claimed
        claimed.close()
        destinations.close()
