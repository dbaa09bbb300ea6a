"""The back ends are what the interface says, as the type checker sees it and as Python does."""

from __future__ import annotations

import pytest

from fdtd.storage import base
from fdtd.storage.null import NullDestinations, NullPartial, NullVolume
from fdtd.storage.posix_destination import PosixDestinations
from fdtd.storage.posix_existing import PosixExisting
from fdtd.storage.posix_partial import PosixPartial
from fdtd.storage.posix_source import PosixSource, PosixSources
from fdtd.storage.posix_volume import FileSystem


@pytest.mark.parametrize(
    ("interface", "implementations"),
    [
        (base.Source, [PosixSource]),
        (base.Sources, [PosixSources]),
        (base.Volume, [FileSystem, NullVolume]),
        (base.Existing, [PosixExisting]),
        (base.Partial, [PosixPartial, NullPartial]),
        (base.Destinations, [PosixDestinations, NullDestinations]),
    ],
)
def test_every_back_end_has_every_method(interface: type, implementations: list[type]) -> None:
    methods = {name for cls in interface.__mro__ for name in vars(cls) if not name.startswith("_")}
    for implementation in implementations:
        assert not methods - set(dir(implementation))
