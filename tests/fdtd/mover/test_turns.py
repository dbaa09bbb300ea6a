"""One thread at a time, and none for ever."""

from __future__ import annotations

import threading

import pytest

from fdtd.mover import turns
from fdtd.mover.turns import Turn

DEADLINE_S = 20.0


def test_a_turn_is_one_threads_until_it_is_over() -> None:
    turn = Turn()
    is_in, may_go = threading.Event(), threading.Event()

    def take() -> None:
        with turn:
            is_in.set()
            may_go.wait(DEADLINE_S)

    with turn:
        other = threading.Thread(target=take)
        other.start()
        assert not is_in.wait(0.05)
    assert is_in.wait(DEADLINE_S)
    may_go.set()
    other.join(DEADLINE_S)
    with turn:
        pass


def test_who_waits_for_one_that_hangs_goes_without_it_and_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = Turn()
    is_in, is_over = threading.Event(), threading.Event()

    def hang() -> None:
        with turn:
            is_in.set()
            is_over.wait(DEADLINE_S)

    hung = threading.Thread(target=hang)
    hung.start()
    assert is_in.wait(DEADLINE_S)
    monkeypatch.setattr(turns, "PATIENCE_S", 0.01)
    with turn:
        pass
    assert turn._lock.locked(), "it is still the other's"
    is_over.set()
    hung.join(DEADLINE_S)
    assert not turn._lock.locked()
