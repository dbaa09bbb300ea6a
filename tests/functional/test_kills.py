"""Movers are killed and networks cut at random bytes: nothing is lost, nothing stays that nobody knows of.

After every kill each file is complete and right, or can be continued, or is gone without a trace; what is left at the
destination is what was registered and nothing else; what a journal vouches for is not sent again; and the attempt that
nobody disturbs completes everything.  A failure names its seed: `run_kills(seed, ...)` does the same again.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from fdtcp.model.order import (
    Action,
    Checksum,
    Outcome,
    Policy,
    Progress,
    Role,
    Setup,
    State,
    Stop,
    Sweep,
    Sync,
)
from fdtd.mover.journal import decode_journal
from fdtd.storage.names import journal_of_partial, partial_name
from tests.helpers.hasty import HASTY
from tests.helpers.movers import Job, Mover
from tests.helpers.wire import Link

KIB = 1 << 10
MIB = 1 << 20

VICTIMS: Final = ("reader", "writer", "both", "life lines", "network")

# After the last byte: syncs, renames and outcomes take about as long.
TAIL_S: Final = 0.06


@dataclass
class Toll:
    """What all attempts of a run came to."""

    kills: int = 0
    attempts: int = 0
    by_victim: dict[str, int] = field(default_factory=dict)
    kept_bytes: int = 0
    after_last_byte: int = 0
    untouched: int = 0  # attempts that were over before the kill


class Trap:
    """Lets so many bytes of a job through, exactly, and then does something terrible."""

    def __init__(self, at: int, strike: Callable[[], None], delay: float) -> None:
        self.at = at
        self._strike = strike
        self._delay = delay
        self._lock = threading.Lock()
        self._passed = 0
        self._timer: threading.Timer | None = None
        self.has_struck = threading.Event()

    def disturb(self, _number: int, _passed: int, data: bytes) -> bytes | None:
        with self._lock:
            if self.has_struck.is_set():
                return None
            room = self.at - self._passed
            self._passed += len(data)
            if room > len(data) or self._timer is not None:
                return data
            if self._delay:
                self._timer = threading.Timer(self._delay, self._fire)
                self._timer.start()
                return data
        # What is before the point goes on its way; its carrier's next chunk finds the trap sprung.
        threading.Thread(target=self._fire).start()
        return data[: max(0, room)]

    def _fire(self) -> None:
        self._strike()
        self.has_struck.set()

    def disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()


class Data:
    """Files at the source, and what is known of them at the destination."""

    def __init__(self, home: Path, rng: random.Random) -> None:
        self.home = home
        self.rng = rng
        self.to = home / "to"
        (home / "from").mkdir(parents=True)
        sizes = [5 * MIB + rng.randrange(MIB), 2 * MIB + 1, MIB + 1, MIB, 64 * KIB + 1, 0, 0, 1]
        sizes += [rng.randrange(30 * KIB) for _ in range(30)]
        rng.shuffle(sizes)
        self.pairs = []
        self.contents = []
        for number, size in enumerate(sizes):
            content = rng.randbytes(size)
            (home / f"from/{number}").write_bytes(content)
            self.contents.append(content)
            self.pairs.append((home / f"from/{number}", self.to / str(number)))
        self.checksum = rng.choice([Checksum.ADLER32, Checksum.ADLER32, Checksum.CRC32, Checksum.NONE])

    def policy(self) -> Policy:
        return Policy(
            checksum=self.checksum,
            sync=self.rng.choice(list(Sync)),
            streams=self.rng.choice([1, 2, 4]),
            block_size=self.rng.choice([64 * KIB, 200_001, MIB]),
            rate_limit=self.rng.choice([20, 40, 80]) * MIB,
            connect_timeout=0.6,
            stall_timeout=3.0,
        )

    def check_destination(self, registered: dict[bytes, int]) -> dict[int, int]:
        """Check every byte there is; returns what is journalled of each file that is not complete."""
        journalled: dict[int, int] = {}
        known = set()
        for number, (_, target) in enumerate(self.pairs):
            if target.exists():
                assert target.read_bytes() == self.contents[number], f"{target} is wrong"
                continue
            partial = os.fsencode(self.to) + b"/" + partial_name(os.fsencode(target.name))
            if not os.path.exists(partial):
                continue
            journal = Path(os.fsdecode(journal_of_partial(partial)))
            with open(partial, "rb") as file:
                written = file.read()
            extents = decode_journal(journal.read_bytes(), None)
            for extent in extents:
                end = extent.offset + extent.length
                assert written[extent.offset : end] == self.contents[number][extent.offset : end], f"{journal} lies"
            journalled[number] = sum(extent.length for extent in extents)
            assert registered.get(partial) == journalled[number] > 0, f"{partial!r} is not registered"
            known |= {os.fsdecode(partial), str(journal)}
        hidden = {str(path) for path in self.to.glob(".*")} if self.to.exists() else set()
        assert hidden == known, "there is something that nobody knows of"
        assert {os.fsdecode(path) for path in registered} <= known, "something is registered that is not there"
        assert not journalled or self.checksum is not Checksum.NONE, "kept, and nobody could go on from it"
        return journalled


def sweep(data: Data) -> dict[bytes, int]:
    """Do what a daemon does after its writer has died."""
    with Mover(Setup(Role.SWEEPER, uuid.uuid4().hex, (b"/",))) as sweeper:
        sweeper.say(Sweep(tuple(os.fsencode(target) for _, target in data.pairs), discard=False))
        assert sweeper.wait_end().problem is None
        return dict(sweeper.kept)


def hear_out(mover: Mover) -> None:
    """Take what a mover had said before it died."""
    while mover.hear() is not None:
        pass


def kill(job: Job, victim: str, link: Link) -> None:
    """Do it; what was a clean end of the others is for `aftermath`."""
    if victim == "network":
        link.cut()
    elif victim == "life lines":
        for mover in (job.reader, job.writer):
            assert mover.process.stdin is not None
            mover.process.stdin.close()
    else:
        for name in ("reader", "writer") if victim == "both" else (victim,):
            getattr(job, name).process.send_signal(signal.SIGKILL)


def aftermath(job: Job, data: Data, victim: str) -> dict[bytes, int]:
    """Do what the daemons do then; returns the partials that they have in their books."""
    survivor = {"reader": job.writer, "writer": job.reader}.get(victim)
    if survivor is not None and survivor.process.poll() is None:
        try:
            survivor.say(Stop(discard=False))
        except BrokenPipeError:
            pass  # it ended just now
    hear_out(job.writer)
    hear_out(job.reader)
    job.writer.process.wait(5)
    # A writer that is killed, or must be gone before a slow disk has synced, leaves files without an outcome.
    return sweep(data) if len(job.writer.outcomes) < len(data.pairs) else dict(job.writer.kept)


def check_said(data: Data, job: Job) -> None:
    """Check that what was called done, or the same, is there."""
    for outcome in job.writer.outcomes.values():
        if outcome.state is not State.FAILED:
            assert data.pairs[outcome.index][1].read_bytes() == data.contents[outcome.index]
        else:
            assert outcome.problem is not None and outcome.problem.retryable, outcome


def check_verdicts(data: Data, job: Job, journalled: dict[int, int]) -> None:
    """Check that the writer goes on from what is journalled."""
    for number, (_, target) in enumerate(data.pairs):
        verdict = job.verdicts[number]
        assert verdict.problem is None, verdict
        assert verdict.action is (Action.COMPARE if target.exists() else Action.SEND)
        assert sum(extent.length for extent in verdict.kept) == journalled.get(number, 0)


def disturbed_attempt(data: Data, journalled: dict[int, int], toll: Toll) -> dict[int, int]:
    """Begin a transfer and end it badly; returns what is journalled after it."""
    rng = data.rng
    victim = rng.choice(VICTIMS)
    trap: Trap

    def disturb(number: int, passed: int, chunk: bytes) -> bytes | None:
        return trap.disturb(number, passed, chunk)

    job = Job(data.pairs, data.policy(), writer_command=HASTY, encrypt=rng.choice([False, False, True]))
    with Link(disturb) as link, job:
        job.through = link.through
        job.describe()
        job.expect()
        check_verdicts(data, job, journalled)
        left = sum(
            job.found[number].size - journalled.get(number, 0)
            for number, verdict in job.verdicts.items()
            if verdict.action is Action.SEND
        )
        point = rng.randrange(int(left * 1.15) + 3000)
        delay = 0.0 if point <= left else rng.uniform(0.001, TAIL_S)
        trap = Trap(min(point, left), lambda: kill(job, victim, link), delay)
        job.connect()
        job.release()
        while not trap.has_struck.wait(0.005) and job.writer.process.poll() is None:
            pass
        trap.disarm()
        toll.attempts += 1
        if trap.has_struck.is_set():
            toll.kills += 1
            toll.by_victim[victim] = toll.by_victim.get(victim, 0) + 1
            toll.after_last_byte += delay > 0
        else:
            toll.untouched += 1
        registered = aftermath(job, data, victim)
        check_said(data, job)
        # Inside: when it fails, the movers' logs are shown.
        print(victim, "at", trap.at, "of", left, "and", delay, "s later")  # noqa: T201  # shown when it fails
        return data.check_destination(registered)


def last_attempt(data: Data, journalled: dict[int, int], toll: Toll) -> None:
    """Transfer what is left, undisturbed."""
    with Job(data.pairs, data.policy(), writer_command=HASTY) as job:
        outcomes: dict[int, Outcome] = job.run()
        moved = last_moved(job)
    toll.attempts += 1
    sent = 0
    for number, outcome in outcomes.items():
        assert outcome.state in (State.DONE, State.SKIPPED), outcome
        if outcome.state is State.DONE:
            assert outcome.kept == journalled.get(number, 0)
            assert outcome.moved == outcome.size - outcome.kept
            sent += outcome.moved
            toll.kept_bytes += outcome.kept
    assert moved == sent, "something was sent that was there already"
    assert len(outcomes) == len(data.pairs) == len(os.listdir(data.to))
    assert not data.check_destination({})


def last_moved(job: Job) -> int:
    """Return how many bytes of files the reader has sent."""
    return [message for message in job.reader.messages if isinstance(message, Progress)][-1].moved


def run_kills(seed: int, home: Path, kills: int) -> Toll:
    """Kill so many times; returns what it came to."""
    rng = random.Random(seed)  # noqa: S311  # no secret: a failure is to be repeated
    toll = Toll()
    number = 0
    while toll.kills < kills:
        number += 1
        data = Data(home / str(number), rng)
        journalled: dict[int, int] = {}
        for _ in range(rng.randint(1, 4)):
            journalled = disturbed_attempt(data, journalled, toll)
            if toll.kills >= kills:
                break
        last_attempt(data, journalled, toll)
    return toll


def test_eight_kills_at_random_bytes_lose_nothing(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)  # noqa: T201  # shown when it fails
    run_kills(seed, tmp_path, 8)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_hundred_kills_at_random_bytes_lose_nothing(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)  # noqa: T201  # shown when it fails
    toll = run_kills(seed, tmp_path, 200)
    print(toll)  # noqa: T201  # shown with -s
    assert set(toll.by_victim) == set(VICTIMS)
    assert toll.kept_bytes > 0
