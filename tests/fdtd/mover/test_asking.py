"""Whose a stream is when its thread comes back from a source that hung."""

from __future__ import annotations

import time

import pytest

from fdtd.mover.asking import Asking
from fdtd.mover.streams import StreamBroken


def test_only_who_waits_for_long_is_given_up() -> None:
    asking = Asking()
    before = time.monotonic()
    assert asking.give_up(time.monotonic()) is None
    asking.ask(7)
    assert asking.give_up(before) is None
    assert asking.give_up(time.monotonic()) == 7


def test_who_was_answered_in_time_goes_on() -> None:
    asking = Asking()
    asking.ask(7)
    asking.answered()
    assert asking.give_up(time.monotonic()) is None and asking.stop()


def test_who_comes_back_too_late_finds_that_nothing_is_its_own() -> None:
    asking = Asking()
    asking.ask(7)
    assert asking.give_up(time.monotonic()) == 7
    assert asking.give_up(time.monotonic()) is None, "it is handed on once"
    asking.ask(8)
    with pytest.raises(StreamBroken):
        asking.answered()
    assert not asking.stop()
