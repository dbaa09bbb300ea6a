from __future__ import annotations

import dataclasses

import pytest

from fdtmon.record import Record, Source


def test_a_record_does_not_change_on_its_way() -> None:
    record = Record(Source.WRITER, "host", "ab", 1.0, (("moved_bytes", 5.0),))
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.host = "other"  # type: ignore[misc]  # that this fails is the point
