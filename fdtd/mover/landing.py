"""Where blocks land: the receiver's decisions carried out on partials.

Decides nothing about the protocol (`receiver` does), nor who opens and closes what (`custody`); owns the lock that
makes both safe for threads, and the outcomes.  A partial is closed only when no stream owns a block of it and it is in
nobody's hands.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

from fdtcp.errors import DestinationHangs, FdtError, Phase, Problem, Side
from fdtcp.model.columns import Columns
from fdtcp.model.order import Action, Checksum, DestinationFile, Extent, Outcome, Policy, Sync
from fdtcp.model.order import State as End
from fdtd.mover.arrival import Arrival, State
from fdtd.mover.batches import Batch
from fdtd.mover.commit import Item, Sheaf
from fdtd.mover.custody import Custody
from fdtd.mover.frames import SMALL_FILE_BYTES, Header
from fdtd.mover.hangs import Hangs
from fdtd.mover.holding import Holding
from fdtd.mover.latch import Latch
from fdtd.mover.log import Log
from fdtd.mover.preflight import Decision
from fdtd.mover.receiver import LEAST_BLOCK_BYTES, Fate, Receiver, Reply
from fdtd.mover.rivals import Rival, Rivals
from fdtd.mover.room import Room
from fdtd.mover.sums import COMPARING_SUM, sum_of
from fdtd.storage.base import Committable, Destinations, Existing, Partial, Volume

# Who was given what another stream had, which seemed dead, waits for this part of the stall time until it lets go: the
# answer shall be there before its own peer takes it for dead, too.
_PATIENCE: Final = 0.75


class Landing:
    """All files of a writer.  Methods may be called from any thread."""

    def __init__(self, policy: Policy, destinations: Destinations, log: Log) -> None:
        self.policy = policy
        self.checksum = sum_of(policy.checksum)
        self.comparing = COMPARING_SUM
        self.receiver = Receiver(self.checksum, self.comparing, min(LEAST_BLOCK_BYTES, policy.block_size))
        # Held to use anything here; it may be taken again by the thread that has it.
        self.lock = Latch()
        self.outcomes: list[Outcome] = []
        self.done: list[Columns[Outcome]] = []  # those of sheaves
        self.is_all_sent = False  # the reader has said so
        self.open_files = 0  # expected files whose outcome is not decided
        self.waiting = 0  # of these, the ones that still wait for bytes
        self.finished_files = 0
        self.touched = 0.0  # when the last frame came
        self.room = Room(self.lock, policy.stall_timeout, one_by_one=policy.sync is Sync.FILE)
        self.on_verified: Callable[[Item, int], None] = lambda _item, _size: None
        self.on_sheaf: Callable[[Sheaf], None] = lambda _sheaf: None
        self.on_all_final: Callable[[], None] = lambda: None
        self.on_streams: Callable[[int], None] = lambda _wanted: None
        self.on_hang: Callable[[DestinationHangs], None] = lambda _error: None  # called with the lock
        self.discard = False
        self.destinations = destinations
        self._log = log
        self.rivals = Rivals()
        self.hangs = Hangs()
        self.batches: list[Batch] = []
        self.patience_s = _PATIENCE * policy.stall_timeout
        self.custody = Custody(self.lock, policy, destinations, self.patience_s, log)
        self.custody.on_hang = self.note_hang
        self.holdings, self.users, self.kept = self.custody.holdings, self.custody.users, self.custody.kept

    # --- what is expected ---------------------------------------------------------------------------------------

    def expect(self, file: DestinationFile, decision: Decision) -> None:
        """Take over a file as pre-flight decided."""
        verdict = decision.verdict
        with self.lock:
            self.open_files += 1
            self.waiting += 1
            if verdict.action is Action.SEND and file.size <= SMALL_FILE_BYTES and not verdict.kept:
                self.receiver.expect_plain({file.index: file})
                return
            arrival = self.receiver.expect(file, verdict.action, verdict.kept)
            if decision.partial is not None:
                self.holdings[file.index] = Holding(file, decision.partial, True, list(verdict.kept))
            if verdict.problem is not None:
                self.fail(file.index, verdict.problem)
            elif verdict.action is Action.SKIP:
                self.receiver.finish(file.index)
                self._conclude(arrival, End.SKIPPED, None, time.time())

    def touch(self) -> None:
        """Note that a frame has come."""
        self.touched = time.monotonic()

    def is_idle(self, seconds: float) -> bool:
        """Whether no file is being received, or nothing has come for `seconds`."""
        return time.monotonic() - self.touched >= seconds

    # --- streams ------------------------------------------------------------------------------------------------

    def stream_opened(self, stream: Rival) -> None:
        """Take on an authenticated stream.  Raises StreamBroken for a number that is taken."""
        with self.lock:
            self.rivals.add(stream)

    def stream_gone(self, stream: Rival) -> None:
        """Take back what a stream owned; it is its thread that says so, as the last thing that it does."""
        with self.lock:
            self.rivals.remove(stream)
            for file in self.receiver.stream_lost(stream.number):
                self.let_go_if_final(file)
            self.lock.notify_all()

    @property
    def has_streams(self) -> bool:
        """Whether any stream is open that may come to its end; with the lock held it stays true."""
        return self.rivals.has_any

    @property
    def has_open(self) -> bool:
        """Whether any file still waits for bytes."""
        return self.waiting > 0

    @property
    def streams(self) -> list[Rival]:
        """The streams that are open now."""
        with self.lock:
            return self.rivals.all

    # --- blocks -------------------------------------------------------------------------------------------------

    def begin(self, stream: Rival, header: Header) -> Partial | None:
        """Take the header of a BLOCK; returns where to write it, None to discard it."""
        deadline = time.monotonic() + self.patience_s
        with self.lock:
            self.touch()
            while True:
                fate, rivals = self.receiver.begin(stream.number, header.file, header.offset, header.length)
                if fate is not Fate.CONTEST:
                    break
                for number in rivals:
                    self._log.trouble("stream-ended", stream=number, reason="its block came on another stream")
                    self.rivals.end(number)
                if not self.lock.wait(max(0.0, deadline - time.monotonic())):
                    self.note_hang(header.file)  # after which nobody wants it any more
            if fate is Fate.DISCARD:
                return None
            if (holding := self.custody.ready(header.file)) is not None:
                return holding.partial
            expected = self.receiver.arrivals[header.file].file
        try:
            return self.custody.open_partial(expected).partial
        except FdtError as exc:
            with self.lock:
                self.fail(header.file, exc.problem(Side.DESTINATION, Phase.TRANSFER))
                self.receiver.void(stream.number, header.file, header.offset)
                self.let_go_if_final(header.file)
            return None

    def note_hang(self, file: int) -> DestinationHangs:
        """Take that a thread does not come back from a file, though its stream has ended; call with the lock."""
        return self.give_up(self.receiver.arrivals.path(file), self.patience_s)

    def give_up(self, path: bytes, seconds: float) -> DestinationHangs:
        """Fail all that is on the file system of a path, which hangs: nobody can take back who is there.

        Whoever is there is cut off, and its files on other file systems are others' to write.
        """
        name = os.fsdecode(path)
        error = DestinationHangs(f"writing {name}, or what came with it: no answer for more than {seconds:.0f} s")
        with self.lock:
            self.hangs.note(path, error)
            problem = error.problem(Side.DESTINATION, Phase.TRANSFER)
            self._fail_those(problem, lambda file: self.hangs.error_of(file.path) is not None)
            for arrival in self.receiver.arrivals.values():
                if arrival.owned and self.hangs.error_of(arrival.file.path) is not None:
                    for _, stream in arrival.owned.values():
                        self.rivals.cut_off(stream)
            for batch in [batch for batch in self.batches if self.hangs.error_of(batch.now) is not None]:
                self.batches.remove(batch)
                batch.is_lost = True
                batch.give_up(batch)
                self.rivals.cut_off(batch.stream)
            self.on_hang(error)
            self.lock.notify_all()
        return error

    def written(self, stream: Rival, header: Header, value: int) -> Reply:
        """Take a block that was written and verified."""
        with self.lock:
            reply = self.receiver.written(stream.number, header.file, header.offset, value)
            holding = self.holdings.get(header.file)
            if holding is not None and holding.may_continue and self.checksum.kind is not Checksum.NONE:
                holding.fresh.append(Extent(header.offset, header.length, value))
            self.follow(header.file)
            return reply

    def not_written(self, stream: Rival, header: Header, *, void: bool) -> Reply:
        """Take a block that was damaged on the way, or void."""
        with self.lock:
            take = self.receiver.void if void else self.receiver.damaged
            reply = take(stream.number, header.file, header.offset)
            self.follow(header.file)
            return reply

    def write_failed(self, stream: Rival, header: Header, error: FdtError) -> Reply:
        """Take a block that the storage refused."""
        with self.lock:
            self.fail(header.file, error.problem(Side.DESTINATION, Phase.TRANSFER))
            self.receiver.void(stream.number, header.file, header.offset)
            self.follow(header.file)
            return Reply.DROP

    def discarded(self, header: Header) -> Reply:
        """Take a block that was not wanted."""
        with self.lock:
            return self.receiver.discarded(header.file)

    # --- sums, ends, aborts -------------------------------------------------------------------------------------

    def ended(self, file: int, apply: Callable[[], Reply]) -> Reply:
        """Take a FILE_END; `apply` hands it to the receiver."""
        with self.lock:
            arrival = self.receiver.arrival(file)
            # Of an empty file no SUM has opened it.
            is_unopened = arrival.action is Action.COMPARE and arrival.is_open and not arrival.file.size
        if is_unopened and self.use_existing(arrival.file) is not None:
            self.unuse(file)
        with self.lock:
            reply = apply()
            self.follow(file)
            return reply

    def use_existing(self, file: DestinationFile) -> Existing | None:
        """Return what exists, open until `unuse`; None if the file has failed over it."""
        with self.lock:
            self.custody.use(file.index)
        existing = None
        try:
            existing = self.custody.open_existing(file)
        except FdtError as exc:
            self.fail(file.index, exc.problem(Side.DESTINATION, Phase.VERIFY))
        finally:
            if existing is None:
                self.unuse(file.index)
        return existing

    def unuse(self, file: int) -> None:
        """Note that a user of what is open for a file is one no more."""
        with self.lock:
            self.custody.unuse(file)
            self.let_go_if_final(file)

    def fail(self, file: int, problem: Problem) -> None:
        """Decide that a file failed, unless its outcome is decided already.  Raises ProtocolViolation.

        A verified file is the committer's, who has it open: nobody else may end it any more, least of all the peer.
        """
        with self.lock:
            if self.receiver.arrival(file).told is not State.VERIFIED:
                self.fail_verified(file, problem)

    def fail_verified(self, file: int, problem: Problem) -> None:
        """Decide that a file failed, for the committer; call with the lock."""
        if self.receiver.fail(file, problem):
            self._conclude_failed(self.receiver.arrivals[file])

    def fail_open(self, problem: Problem, largest: int = 1 << 63) -> None:
        """Fail all files that still wait for bytes, or those that are no larger than `largest`."""
        self._fail_those(problem, lambda file: file.size <= largest)

    def _fail_those(self, problem: Problem, is_meant: Callable[[DestinationFile], bool]) -> None:
        with self.lock:
            self.receiver.arrivals.remember(is_meant)
            for file, arrival in self.receiver.arrivals.items():
                if arrival.is_open and is_meant(arrival.file):
                    self.fail(file, problem)

    def fail_volume(self, volume: Volume, error: FdtError) -> None:
        """Fail the files that are being written on a volume whose sync has failed."""
        with self.lock:
            for file, holding in list(self.holdings.items()):
                if holding.partial.volume is volume:
                    holding.lost = holding.lost or error
                    self.fail(file, error.problem(Side.DESTINATION, Phase.COMMIT))

    def abandon(self, items: list[Item], problem: Problem) -> None:
        """Fail verified files that nobody began to commit."""
        with self.lock:
            for item in items:
                self.room.leave(1, alone=item.is_alone)
                self.fail_verified(item.file, problem)

    # --- commit -----------------------------------------------------------------------------------------------

    def committed(self, results: list[tuple[Item, FdtError | None]]) -> None:
        """Take the end of a commit."""
        unused: list[Item] = []
        with self.lock:
            now = time.time()
            for item, error in results:
                self.room.leave(1, alone=item.is_alone)
                arrival = self.receiver.arrivals[item.file]
                self.holdings.pop(item.file, None)
                if item.file not in self.users:  # else another stream still reads what exists: it closes it
                    self.custody.existing.pop(item.file, None)
                    unused.append(item)
                if error is None:
                    self.receiver.finish(item.file)
                    end, says = (End.DONE, self.policy.promise) if arrival.action is Action.SEND else (End.SKIPPED, "")
                    self._conclude(arrival, end, None, now, item.partial.promise or says)
                else:
                    self.fail_verified(item.file, error.problem(Side.DESTINATION, Phase.COMMIT))
            self.lock.notify_all()
        for item in unused:
            item.partial.close()

    def take_outcomes(self) -> list[Outcome]:
        """Return the outcomes to be told, each once.

        Not those of files that are still in somebody's hands: if that takes longer than we live, a partial stays, and
        the daemon sweeps beside destinations that have no outcome.
        """
        with self.lock:
            outcomes, self.outcomes = self.outcomes, []
            if not self.holdings:
                return outcomes
            self.outcomes = [outcome for outcome in outcomes if outcome.index in self.holdings]
            return [outcome for outcome in outcomes if outcome.index not in self.holdings]

    def wait_let_go(self, deadline: float) -> None:
        """Wait until nothing is open any more, after all files are final; or until `deadline` (monotonic)."""
        with self.lock:
            while self.holdings and (left := deadline - time.monotonic()) > 0:
                self.lock.wait(left)

    # --- called with the lock --------------------------------------------------------------------------

    def follow(self, file: int) -> None:
        """Do what the receiver's decision about a file asks for."""
        arrival = self.receiver.arrivals[file]
        if arrival.told is arrival.state:
            self.let_go_if_final(file)
        elif arrival.state is State.VERIFIED:
            arrival.told = State.VERIFIED
            self.waiting -= 1
            partial: Committable = (
                self.custody.existing[file] if arrival.action is Action.COMPARE else self.holdings[file].partial
            )
            alone = self.policy.sync is Sync.FILE or not partial.volume.is_shared
            self.room.enter(1, alone=alone)
            item = Item(file, partial, arrival.file.mode, arrival.file.mtime_ns, self.policy.may_replace, alone)
            self.on_verified(item, arrival.file.size)
        elif arrival.state is State.FINAL and arrival.problem is not None:
            self._conclude_failed(arrival)

    def _conclude_failed(self, arrival: Arrival) -> None:
        assert arrival.problem is not None, "a failed file has a problem"
        self._conclude(arrival, End.FAILED, arrival.problem, time.time())
        self.let_go_if_final(arrival.file.index)

    def _conclude(self, arrival: Arrival, state: End, problem: Problem | None, now: float, promise: str = "") -> None:
        file = arrival.file
        if arrival.told is not State.VERIFIED:
            self.waiting -= 1
        arrival.told = State.FINAL
        if problem is not None:
            self._log.trouble("file-failed", file=file.index, path=file.path, code=problem.code, reason=problem.reason)
        has_sum = state is End.DONE or (state is End.SKIPPED and arrival.end is not None)
        checksum = arrival.checksum.text(arrival.value) if has_sum else ""
        moved, kept = arrival.moved, arrival.kept_bytes
        self.outcomes.append(Outcome(file.index, state, file.size, moved, kept, checksum, now, problem, promise))
        self.open_files -= 1
        self.finished_files += 1
        # Only these are asked for again, by duplicates of blocks: the rest would be memory for nothing.
        if arrival.parts:
            arrival.parts.clear()
            arrival.starts = sorted(arrival.owned)
        if self.open_files == 0:
            self.on_all_final()

    def let_go_if_final(self, file: int) -> None:
        """Close what is open for a failed file, once nobody uses it."""
        arrival = self.receiver.arrivals[file]
        if arrival.state is not State.FINAL or arrival.owned or file in self.users:
            return
        if self.hangs.error_of(arrival.file.path) is not None:
            return  # to close or remove it would hang, too: that is the daemon's sweeper's business
        code = arrival.problem.code if arrival.problem is not None else ""
        self.custody.let_go(file, code, may_keep=self.policy.keep_partials and not self.discard)
