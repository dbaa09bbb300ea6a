"""One CA for all tests of detached jobs, and a fresh room for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.detachedroom import Room, detached_room
from tests.helpers.pki import Pki


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def room(pki: Pki, tmp_path: Path) -> Iterator[Room]:
    with detached_room(pki, tmp_path, max_sessions=3, max_sessions_per_user=2) as made:
        yield made
