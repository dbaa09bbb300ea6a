"""Who brings more files than can be made safe in time waits, and for no longer than there is progress."""

from __future__ import annotations

import threading
import time

from fdtd.mover.room import Room
from fdtd.mover.streams import StreamBroken

DEADLINE_S = 20.0


def make_room(stall_s: float = DEADLINE_S, *, one_by_one: bool = False) -> tuple[Room, threading.Condition]:
    lock = threading.Condition()
    room = Room(lock, stall_s, one_by_one=one_by_one)
    room.epoch_files, room.most_open = 100, 400
    return room, lock


class Bringer:
    """Brings files, in a thread of its own."""

    def __init__(self, room: Room, files: int, *, of_batch: bool = True) -> None:
        self.has_come = threading.Event()
        self.reason = ""
        self._room, self._files, self._of_batch = room, files, of_batch
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            with self._room.taken(self._files, of_batch=self._of_batch):
                self.has_come.set()
        except StreamBroken as exc:
            self.reason = exc.reason


def wait_awaited(room: Room, lock: threading.Condition) -> None:
    """Wait until somebody waits: the lock is free then, and nobody is on the way."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        with lock:
            if room.awaited:
                return
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)  # a poll with a deadline


def test_there_is_room_for_as_many_as_may_be_open() -> None:
    room, lock = make_room()
    with lock:
        room.enter(399)
    with room.taken(1):
        pass
    bringer = Bringer(room, 50)
    wait_awaited(room, lock)
    with lock:
        room.leave(60)
        lock.notify_all()
    assert bringer.has_come.wait(DEADLINE_S)
    bringer.thread.join(DEADLINE_S)


def test_of_files_that_are_synced_one_by_one_two_portions_wait() -> None:
    room, lock = make_room(one_by_one=True)
    assert room.part == 16
    with lock:
        room.enter(20, alone=True)
    bringer = Bringer(room, 16)
    wait_awaited(room, lock)
    with lock:
        room.leave(4, alone=True)
        lock.notify_all()
    assert bringer.has_come.wait(DEADLINE_S)
    bringer.thread.join(DEADLINE_S)


def test_blocks_wait_for_descriptors_only() -> None:
    room, lock = make_room(one_by_one=True)
    with lock:
        room.enter(300, alone=True)
    with room.taken(1):
        pass


def test_where_nothing_is_synced_by_itself_an_epoch_is_brought_at_a_time() -> None:
    room, lock = make_room()
    assert room.part == 100
    with lock:
        room.enter(1, alone=True)
        room.leave(1, alone=True)
    assert room.part == 16  # such files may come again


def test_more_than_two_portions_wait_for_those_before_and_no_longer() -> None:
    room, lock = make_room()
    with lock:
        room.enter(1, alone=True)
    bringer = Bringer(room, 90)
    wait_awaited(room, lock)
    with lock:
        room.leave(1, alone=True)
        lock.notify_all()
    assert bringer.has_come.wait(DEADLINE_S)
    bringer.thread.join(DEADLINE_S)


def test_a_stream_is_given_up_only_where_nothing_becomes_safe() -> None:
    room, lock = make_room(stall_s=0.2)
    with lock:
        room.enter(400)
    bringer = Bringer(room, 1)
    bringer.thread.join(DEADLINE_S)
    assert "no file has been made safe" in bringer.reason and not room.awaited
