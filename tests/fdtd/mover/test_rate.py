"""A rate limit holds over all streams."""

from __future__ import annotations

import threading
import time

from fdtd.mover.rate import RateLimit


def test_no_limit_never_waits() -> None:
    limit = RateLimit(0)
    began = time.monotonic()
    for _ in range(1000):
        limit.wait(1 << 30)
    assert time.monotonic() - began < 0.5 and limit.piece == 0


def test_the_limit_holds_for_all_threads_together() -> None:
    limit = RateLimit(10_000_000)

    def send() -> None:
        for _ in range(5):
            limit.wait(500_000)

    threads = [threading.Thread(target=send) for _ in range(2)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # 5 MB at 10 MB/s, less the last piece (nobody waits for it) and one burst.
    assert 0.35 < time.monotonic() - began < 2.0


def test_pieces_are_a_burst() -> None:
    assert RateLimit(10_000_000).piece == 500_000
    assert RateLimit(1).piece == 1
