"""What users' files may take of the daemon's memory."""

from __future__ import annotations

import os
import threading

import pytest

from fdtd.errors import MemoryFull
from fdtd.site.memory import Memory, parse_memory


def test_one_user_has_his_part_and_not_more() -> None:
    memory = Memory(1000, 600)
    first, second = memory.share("/CN=me"), memory.share("/CN=me")
    first.grow(400)
    second.grow(200)
    with pytest.raises(MemoryFull, match="one user") as caught:
        second.grow(1)
    assert caught.value.retryable
    assert memory.taken("/CN=me") == 600


def test_others_have_theirs_until_there_is_no_more() -> None:
    memory = Memory(1000, 600)
    mine, yours = memory.share("/CN=me"), memory.share("/CN=you")
    mine.grow(600)
    yours.grow(400)
    with pytest.raises(MemoryFull, match="all jobs"):
        yours.grow(1)
    assert memory.taken() == 1000


def test_what_was_given_back_can_be_taken_again() -> None:
    memory = Memory(1000, 600)
    one = memory.share("/CN=me")
    one.grow(600)
    one.give_back()
    one.grow(500)
    with one.held(100), pytest.raises(MemoryFull):
        one.grow(1)
    one.grow(100)
    assert memory.taken() == 600


def test_a_share_that_is_lost_counts_no_more() -> None:
    memory = Memory(1000, 600)
    one = memory.share("/CN=me")
    one.grow(600)
    del one
    assert memory.taken() == 0


def test_many_threads_take_no_more_than_there_is() -> None:
    memory = Memory(1000, 1000)
    shares = [memory.share("/CN=me") for _ in range(8)]
    refused = []

    def take(index: int) -> None:
        for _ in range(50):
            try:
                shares[index].grow(10)
            except MemoryFull:
                refused.append(index)

    threads = [threading.Thread(target=take, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert memory.taken() == 1000 and len(refused) == 300


def test_memory_is_said_in_bytes_or_as_a_part_of_the_hosts() -> None:
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert parse_memory("512MiB") == 512 << 20
    assert parse_memory(" 10 %") == whole * 10 // 100
    for text in ("110%", "much", "-1%"):
        with pytest.raises(ValueError, match="size"):
            parse_memory(text)
