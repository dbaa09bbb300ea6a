"""Cleaning up after movers that could not.

fdtd never touches a user's path, so whatever a killed writer left behind is looked for by another process under the
same account: a sweeper.  Decides when sweepers run: after a writer died, after a daemon died (at the next start), when
a kept partial has expired, and again an hour after one that failed.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Final

from fdtcp.contract import MAX_CHUNK, MAX_CHUNK_BYTES
from fdtcp.errors import DestinationBusy, Fault, FdtError, MoverDied, Phase, Problem, Side
from fdtcp.model.order import Ended, Kept, KeptPartial, Mapped, Message, Outcome, Role, Setup, State, Sweep
from fdtd.errors import MoverSlow, StateFailed
from fdtd.live.tools import Sweepable, transfer_log
from fdtd.processes.launcher import Launcher
from fdtd.processes.movers import RunningMover
from fdtd.site.paths import partial_path
from fdtd.state.statefile import StateFile, StoredSession

_log: Final = logging.getLogger("fdtd.sweeping")

# Two directory operations per path; a thousand of them take seconds on a slow file system.
SWEEP_TIMEOUT_S: Final = 60.0
RETRY_S: Final = 3600.0
# A mover whose daemon was killed is gone 2 s later; until then it holds its files.
ORPHANED_MOVER_S: Final = 2.5
# How often expired partials and forgotten sessions are looked for.
PERIOD_S: Final = 30.0


class Sweeping:
    """Runs sweepers in threads of its own; a context manager, because it waits for them at the end."""

    def __init__(
        self,
        launcher: Launcher,
        state: StateFile,
        log_dir: str,
        prefixes: tuple[bytes, ...],
        keep: float,
        storage: tuple[Mapped, ...] = (),
    ) -> None:
        self._launcher = launcher
        self._state = state
        self._log_dir = log_dir
        self._prefixes = prefixes
        self._storage = storage
        self._keep = keep
        self._leaving = threading.Event()
        self._movers: set[RunningMover] = set()
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="sweep")
        self._keeper = threading.Thread(target=self._keep_house, name="housekeeping", daemon=True)
        self._outcomes_kept = 0.0
        self._unfinished: list[StoredSession] = []

    def __enter__(self) -> Sweeping:
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        for mover in list(self._movers):
            mover.cut_life_line()
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._keeper.is_alive():
            self._keeper.join(SWEEP_TIMEOUT_S)

    def start(self, outcomes_kept: float) -> None:
        """Begin with what a killed daemon left, then keep house: expired partials, forgotten sessions."""
        self._outcomes_kept = outcomes_kept
        self._unfinished = self._state.unfinished()
        self._keeper.start()

    def start_sweep(self, live: Sweepable, paths: tuple[bytes, ...], discard: bool) -> None:
        """Sweep for a running session; it hears of it by `swept`."""
        try:
            self._pool.submit(self._sweep_for, live, paths, discard)
        except RuntimeError:
            # The daemon leaves; the session did not end, so the next start of the daemon sweeps for it.
            _log.warning("event=sweep-left job=%s", live.key.job)

    def run(self, account: str, paths: Sequence[bytes], discard: bool) -> list[KeptPartial]:
        """Sweep now; return what was kept.  Raises StillBusy after all others, FdtError if not all was looked at."""
        kept: list[KeptPartial] = []
        busy: Problem | None = None
        for chunk in _chunks(paths):
            report = self._run_chunk(account, chunk, discard)
            kept += report.kept.values()
            busy = busy or report.check_end()
        if busy is not None:
            raise StillBusy(busy.reason, kept)
        return kept

    # one sweep

    def _run_chunk(self, account: str, paths: tuple[bytes, ...], discard: bool) -> _Report:
        job = uuid.uuid4().hex
        report = _Report(paths)
        gone = threading.Event()

        def hear(message: Message) -> None:
            report.hear(message)
            if report.has_ended:
                mover.cut_life_line()

        process = self._launcher.launch(account, transfer_log(self._log_dir, job, Role.SWEEPER))
        mover = RunningMover(process, hear, lambda _: mover.kill(), lambda _: gone.set())
        self._movers.add(mover)
        try:
            mover.send(Setup(Role.SWEEPER, job, self._prefixes, storage=self._storage))
            mover.send(Sweep(paths, discard))
            mover.start()
            if self._leaving.is_set():
                mover.cut_life_line()
            if not gone.wait(SWEEP_TIMEOUT_S):
                mover.kill()
                mover.wait_gone(SWEEP_TIMEOUT_S)
                raise MoverSlow(f"a sweeper did not end within {SWEEP_TIMEOUT_S:g} s")
            mover.wait_gone(SWEEP_TIMEOUT_S)
        finally:
            self._movers.discard(mover)
        return report

    def _sweep_for(self, live: Sweepable, paths: tuple[bytes, ...], discard: bool) -> None:
        kept: list[KeptPartial] = []
        try:
            kept = self.run(live.key.account, paths, discard)
        except StillBusy as exc:
            kept = exc.kept
            _log.info("event=sweep-busy job=%s reason=%r", live.key.job, exc.reason)
            self._later(live.number, live.key.account, paths, discard)
        except FdtError as exc:
            _log.error("event=sweep-failed job=%s code=%s reason=%r", live.key.job, exc.code, exc.reason)
            self._later(live.number, live.key.account, paths, discard)
        except Exception:  # noqa: BLE001  # the boundary of the thread: the session must end all the same
            _log.exception("event=sweep-failed job=%s", live.key.job)
            self._later(live.number, live.key.account, paths, discard)
        live.swept(kept)

    def _later(self, session: int, account: str, paths: Sequence[bytes], discard: bool) -> None:
        try:
            self._state.sweep_later(session, account, paths, discard, time.time() + RETRY_S)
        except StateFailed as exc:
            _log.error("event=state-failed reason=%r", exc.reason)

    # keeping house

    def _keep_house(self) -> None:
        self._guarded(self._recover)
        while not self._leaving.is_set():
            self._guarded(self._expire)
            self._guarded(self._purge)
            self._leaving.wait(PERIOD_S)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # noqa: BLE001  # the boundary of the thread: house is kept tomorrow, too
            _log.exception("event=housekeeping-failed")

    def _recover(self) -> None:
        """End the sessions of a daemon that was killed."""
        if not self._unfinished or self._leaving.wait(ORPHANED_MOVER_S):
            return
        for stored in self._unfinished:
            if not self._leaving.is_set():
                self._end_stored(stored)

    def _end_stored(self, stored: StoredSession) -> None:
        key = stored.key
        waiting = self._state.waiting(stored.id)
        _log.info("event=recovering job=%s side=%s files=%d", key.job, key.side, len(waiting))
        why = MoverDied("fdtd ended before this file was final").problem(key.side, Phase.TRANSFER)
        if key.side is Side.DESTINATION and waiting:
            paths = tuple(path for _, path, _ in waiting)
            try:
                kept = self.run(key.account, paths, False)
                mine = {partial_path(path): path for path in paths}
                rows = tuple((mine[one.path], one) for one in kept)
                self._state.keep(stored.id, key.account, rows, time.time() + self._keep)
            except FdtError as exc:
                _log.error("event=sweep-failed job=%s code=%s reason=%r", key.job, exc.code, exc.reason)
                self._later(stored.id, key.account, paths, False)
            self._fail_waiting(stored, waiting, why)
        self._state.end(stored.id, why, time.time())

    def _fail_waiting(self, stored: StoredSession, waiting: list[tuple[int, bytes, int]], why: Problem) -> None:
        failed = [Outcome(index, State.FAILED, size, problem=why) for index, _, size in waiting]
        position = self._state.count_outcomes(stored.id)
        self._state.record(stored.id, stored.key.account, position, failed)

    def _expire(self) -> None:
        """Remove partials that nobody came back for, and try again what failed."""
        due = sorted(self._state.leftovers(time.time()), key=lambda one: (one.account, one.discard))
        for (account, discard), group in groupby(due, key=lambda one: (one.account, one.discard)):
            paths = [one.destination for one in group]
            try:
                kept = self.run(account, paths, discard)
                self._state.swept(account, paths)
                mine = {partial_path(path): path for path in paths}
                rows = tuple((mine[one.path], one) for one in kept if not discard)
                self._state.keep(0, account, rows, time.time() + self._keep)
                _log.info("event=swept account=%s paths=%d discard=%s", account, len(paths), discard)
            except FdtError as exc:
                _log.error("event=sweep-failed account=%s code=%s reason=%r", account, exc.code, exc.reason)
                self._state.postpone(account, paths, time.time() + RETRY_S)

    def _purge(self) -> None:
        while self._state.purge(time.time() - self._outcomes_kept) and not self._leaving.is_set():
            pass


class StillBusy(FdtError):
    """Somebody holds what was to be swept: a live writer, or one that the kernel is still taking apart."""

    code = "sweep-busy"
    fault = Fault.SITE
    retryable = True
    remedy_text = "nothing needs to be done: it is swept again within the hour"

    def __init__(self, reason: str, kept: Sequence[KeptPartial] = ()) -> None:
        super().__init__(reason)
        self.kept = list(kept)


class _Report:
    """What one sweeper said, as far as it was asked: it runs as the user, and may talk without an end."""

    def __init__(self, paths: Sequence[bytes]) -> None:
        self._asked = {partial_path(path) for path in paths}
        self.kept: dict[bytes, KeptPartial] = {}
        self._ended: Ended | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it said that it has done what it could."""
        return self._ended is not None

    def hear(self, message: Message) -> None:
        """Take what it says."""
        if isinstance(message, Ended):
            self._ended = self._ended or message
        elif isinstance(message, Kept):
            self.kept |= {one.path: one for one in message.partials if one.path in self._asked}

    def check_end(self) -> Problem | None:
        """Return what was busy, if all else was done.  Raises MoverDied if the sweeper did not come to its end."""
        problem = self._ended.problem if self._ended else _NEVER_ENDED
        if problem is not None and problem.code != DestinationBusy.code:
            raise MoverDied(f"the sweeper did not do all: {problem.reason}")
        return problem


_NEVER_ENDED: Final = MoverDied("it ended without a word").problem(Side.DESTINATION, Phase.CLEANUP)


def _chunks(paths: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
    """Cut so that an order stays a line of legal length."""
    chunk: list[bytes] = []
    size = 0
    for path in paths:
        if chunk and (len(chunk) >= MAX_CHUNK or size + len(path) > MAX_CHUNK_BYTES):
            yield tuple(chunk)
            chunk, size = [], 0
        chunk.append(path)
        size += len(path)
    if chunk:
        yield tuple(chunk)
