"""Partials that no later attempt can go on from."""

from __future__ import annotations

import pytest

from fdtd.storage.null import NullPartial
from fdtd.storage.one_attempt import OneAttempt
from fdtd.storage.sequential import SequentialPartial
from fdtd.storage.stored_destination import StoredPartial


def test_what_is_noted_and_written_is_not_had_again() -> None:
    one = OneAttempt()
    one.append_journal(b"a line")
    assert one.read_journal() == b""
    assert one.read_back(memoryview(bytearray(4)), 0) == 0
    assert not one.is_resumable


@pytest.mark.parametrize("kind", [NullPartial, SequentialPartial, StoredPartial])
def test_storage_that_takes_a_file_once_says_so(kind: type[OneAttempt]) -> None:
    assert issubclass(kind, OneAttempt)
    assert (kind.is_resumable, kind.direct_bytes, kind.descriptor) == (False, 0, -1)
