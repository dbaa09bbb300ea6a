"""Streams as they see each other."""

from __future__ import annotations

import pytest

from fdtd.mover.rivals import Rivals
from fdtd.mover.streams import StreamBroken


class FakeStream:
    def __init__(self, number: int) -> None:
        self.number = number
        self.ends = 0

    def end(self) -> None:
        self.ends += 1


def test_a_number_is_used_once_and_again_when_its_stream_is_gone() -> None:
    rivals, stream = Rivals(), FakeStream(1)
    rivals.add(stream)
    with pytest.raises(StreamBroken):
        rivals.add(FakeStream(1))
    rivals.end(1)
    assert stream.ends == 1 and rivals.all == [stream]
    rivals.remove(stream)
    rivals.add(FakeStream(1))


def test_nobody_waits_for_a_stream_that_was_cut_off() -> None:
    rivals, one, other = Rivals(), FakeStream(1), FakeStream(2)
    rivals.add(one)
    rivals.add(other)
    rivals.cut_off(1)
    rivals.cut_off(7)  # it has gone by itself
    found = [(rivals.has_any, len(rivals.hung))]
    for stream in (other, one):
        rivals.remove(stream)
        found.append((rivals.has_any, len(rivals.hung)))
    assert one.ends == 1 and found == [(True, 1), (False, 1), (False, 0)]
