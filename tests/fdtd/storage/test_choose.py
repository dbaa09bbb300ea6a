"""The path alone chooses the back end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fdtcp.errors import PathRefused
from fdtd.storage.choose import ChosenDestinations, ChosenSources
from fdtd.storage.null import NULL, ZERO, NullPartial, ZeroSource
from fdtd.storage.paths import Prefixes


def test_devices_of_memory_tests_need_no_prefix_and_nothing_else_is_let_through(tmp_path: Path) -> None:
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        sources, destinations = ChosenSources(prefixes, 100), ChosenDestinations(prefixes)
        zeros = sources.open(ZERO)
        assert isinstance(zeros, ZeroSource) and zeros.facts().size == 100
        zeros.close()
        assert isinstance(destinations.claim(NULL, 0, journal=False), NullPartial)
        for path in (b"/dev/full", b"/dev//zero", b"/dev/null/x", NULL + b"\n"):
            with pytest.raises(PathRefused):
                sources.open(path)
            with pytest.raises(PathRefused):
                destinations.look(path)
        sources.close()
        destinations.close()
