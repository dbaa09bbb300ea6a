"""One bit of a job flips on its way, anywhere: what is called done is right, and the next attempt completes the rest.

A failure names its seed: `run_flips(seed, ...)` does the same again.
"""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from fdtcp.model.order import Checksum, Outcome, Policy, State
from tests.helpers.movers import Job, Pair
from tests.helpers.wire import Link

KIB = 1 << 10


class Flip:
    """Flips one bit of all that passes, at one place."""

    def __init__(self, at: int, bit: int) -> None:
        self._at = at
        self._bit = bit
        self._passed = 0
        self._lock = threading.Lock()

    def disturb(self, _number: int, _passed: int, data: bytes) -> bytes:
        with self._lock:
            place = self._at - self._passed
            self._passed += len(data)
        if not 0 <= place < len(data):
            return data
        changed = bytearray(data)
        changed[place] ^= 1 << self._bit
        return bytes(changed)


def run_flips(seed: int, home: Path, flips: int) -> dict[str, int]:
    """Flip so many bits, each in a job of its own; returns what became of the files of all jobs."""
    rng = random.Random(seed)  # noqa: S311  # no secret: a failure is to be repeated
    toll: dict[str, int] = {}
    (home / "from").mkdir()
    sizes = [1200 * KIB + 1, 300 * KIB, *[rng.randrange(4000) for _ in range(30)]]
    contents = [rng.randbytes(size) for size in sizes]
    for number, content in enumerate(contents):
        (home / f"from/{number}").write_bytes(content)
    for number in range(flips):
        pairs: list[Pair] = [(home / f"from/{one}", home / f"to-{number}/{one}") for one in range(len(sizes))]
        checksum = rng.choice([Checksum.ADLER32, Checksum.CRC32])
        policy = Policy(
            checksum=checksum, streams=rng.choice([1, 2]), block_size=64 * KIB, connect_timeout=1.0, stall_timeout=1.5
        )
        # Most of what is no content (headers, trailers, tables, ends) is in small blocks and between them.
        at = rng.choice([rng.randrange(sum(sizes)), rng.randrange(300), rng.randrange(60 * KIB, 130 * KIB)])
        flip = Flip(at, rng.randrange(8))
        print("bit", flip._bit, "at", at)  # noqa: T201  # shown when it fails
        encrypt = rng.choice([False, False, True])
        with Link(flip.disturb) as link, Job(pairs, policy, through=link.through, encrypt=encrypt) as job:
            check(job.run(), home / f"to-{number}", contents, toll)
        with Job(pairs, policy) as job:
            outcomes = job.run()
        assert {outcome.state for outcome in outcomes.values()} <= {State.DONE, State.SKIPPED}
        check(outcomes, home / f"to-{number}", contents, {})
    return toll


def check(outcomes: dict[int, Outcome], to: Path, contents: list[bytes], toll: dict[str, int]) -> None:
    """Compare what was called done; what was not must be worth another attempt."""
    assert len(outcomes) == len(contents)
    for index, outcome in outcomes.items():
        if outcome.state is State.FAILED:
            assert outcome.problem is not None and outcome.problem.retryable, outcome
            assert not (to / str(index)).exists()
        else:
            assert (to / str(index)).read_bytes() == contents[index]
        name = outcome.problem.code if outcome.problem is not None else outcome.state.value
        toll[name] = toll.get(name, 0) + 1


def test_three_flipped_bits_are_caught(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)  # noqa: T201  # shown when it fails
    run_flips(seed, tmp_path, 3)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_hundred_flipped_bits_are_caught(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)  # noqa: T201  # shown when it fails
    print(run_flips(seed, tmp_path, 100))  # noqa: T201  # shown with -s
