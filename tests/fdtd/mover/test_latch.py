"""What is decided under a lock, and done behind it."""

from __future__ import annotations

import threading

from fdtd.mover.latch import Latch


def test_what_is_put_off_is_done_in_its_order_when_the_lock_is_free() -> None:
    latch = Latch()
    seen: list[str] = []

    def note(what: str) -> None:
        def take() -> None:
            with latch:
                seen.append(what)

        other = threading.Thread(target=take)
        other.start()
        other.join(30)

    with latch:
        latch.behind(lambda: seen.append("first"))
        with latch:
            latch.behind(lambda: note("free"))
        assert seen == []
    assert seen == ["first", "free"]


def test_what_is_put_off_can_decide_again() -> None:
    latch = Latch()
    seen: list[str] = []

    def again() -> None:
        with latch:
            latch.behind(lambda: seen.append("again"))

    with latch:
        latch.behind(again)
    assert seen == ["again"]


def test_who_waits_has_the_lock_as_often_afterwards_as_before() -> None:
    latch = Latch()
    seen: list[str] = []
    is_told = threading.Event()

    def tell() -> None:
        with latch:
            latch.behind(lambda: seen.append("by the other"))
            is_told.set()
            latch.notify_all()
        assert seen == ["by the other"]

    with latch, latch:
        other = threading.Thread(target=tell)
        other.start()
        while not is_told.is_set():
            assert latch.wait(30)
        latch.behind(lambda: seen.append("by us"))
    other.join(30)
    assert seen == ["by the other", "by us"]


def test_what_was_decided_is_done_also_after_an_error() -> None:
    latch = Latch()
    seen: list[str] = []
    try:
        with latch:
            latch.behind(lambda: seen.append("done"))
            raise KeyError
    except KeyError:
        pass
    assert seen == ["done"]
