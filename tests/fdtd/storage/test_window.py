"""Blocks in any order, bytes in one."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdtcp.errors import DestinationFull, ProtocolViolation
from fdtd.storage.window import Window

CONTENT = bytes(range(200)) * 5


def give(window: Window, start: int, end: int) -> None:
    window.write(memoryview(CONTENT)[start:end], start)
    window.accept(start, end - start)


@given(st.data())
def test_every_order_within_the_window_makes_the_same_bytes(data: st.DataObject) -> None:
    got = bytearray()
    window = Window(got.extend, size=300)
    blocks = [(start, start + 100) for start in range(0, len(CONTENT), 100)]
    while blocks:
        may_go = [block for block in blocks if block[1] <= blocks[0][0] + 300]
        start, end = data.draw(st.sampled_from(may_go))
        for _ in range(data.draw(st.integers(0, 2))):  # damaged on the way, perhaps broken off
            window.write(memoryview(bytes(data.draw(st.integers(1, end - start)))), start)
        give(window, start, end)
        blocks.remove((start, end))
        assert len(got) >= (blocks[0][0] if blocks else len(CONTENT))
    assert bytes(got) == CONTENT


def test_nothing_is_appended_before_it_is_verified() -> None:
    got = bytearray()
    window = Window(got.extend, size=300)
    window.write(memoryview(b"damaged"), 0)
    give(window, 100, 200)
    assert got == b""
    give(window, 0, 100)
    assert bytes(got) == CONTENT[:200]


def test_who_runs_ahead_or_back_is_refused() -> None:
    window = Window(bytearray().extend, size=300)
    give(window, 0, 100)
    for start in (0, 350, 400, 10**9):
        with pytest.raises(ProtocolViolation):
            window.write(memoryview(bytes(100)), start)


def test_no_more_than_the_window_is_held_whatever_is_sent() -> None:
    window = Window(bytearray().extend, size=300)
    with pytest.raises(ProtocolViolation):
        for start in range(200):  # each overlaps the others, none is ever accepted
            window.write(memoryview(bytes(100)), start)


def test_blocks_that_broke_off_and_came_again_cut_otherwise_leave_nothing() -> None:
    got = bytearray()
    window = Window(got.extend, size=300)
    window.write(memoryview(b"x" * 10), 50)
    window.write(memoryview(CONTENT)[0:100], 0)
    window.accept(0, 100)
    for start in (100, 200, 300):
        give(window, start, start + 100)
    assert bytes(got) == CONTENT[:400]


def test_an_error_of_the_storage_is_everybodys() -> None:
    def full(_: bytes) -> None:
        raise DestinationFull("full")

    window = Window(full, size=300)
    with pytest.raises(DestinationFull):
        give(window, 0, 100)
    with pytest.raises(DestinationFull):
        window.write(memoryview(b"x"), 100)
    with pytest.raises(DestinationFull):
        window.accept(100, 1)


def test_only_one_thread_appends_at_a_time() -> None:
    inside = threading.Lock()
    got = bytearray()

    def append(piece: bytes) -> None:
        assert inside.acquire(blocking=False)
        got.extend(piece)
        inside.release()

    window = Window(append, size=len(CONTENT))
    threads = [threading.Thread(target=give, args=(window, start, start + 10)) for start in range(0, 1000, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bytes(got) == CONTENT
