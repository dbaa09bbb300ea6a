"""What a reader has to send, shared by its streams.

Decides nothing about the order (`plan` does); owns the lock that makes the plan safe for threads, the open source files
and what pre-flight found of them.
"""

from __future__ import annotations

import os
import threading
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from fdtcp.errors import FdtError, Phase, Problem, ProtocolViolation, Side, SourceChanged, SourceFailed
from fdtcp.model.columns import Columns
from fdtcp.model.order import Action, Policy, ReleasedFile
from fdtcp.value import dataclass
from fdtd.mover.devices import Place
from fdtd.mover.distance import NEAR, Spread
from fdtd.mover.first_looks import FirstLooks, Known
from fdtd.mover.frames import MAX_BATCH_FILES, End
from fdtd.mover.log import Log
from fdtd.mover.plan import Plan
from fdtd.mover.portions import Portions
from fdtd.mover.sender import Answered, Dropped, Event, Farewell, Refused, RefusedSmall
from fdtd.mover.sums import COMPARING_SUM, sum_of
from fdtd.mover.work import BatchWork, EndWork, Work
from fdtd.storage.base import TELLABLE_NS, Facts, Look, Reading, Source, Sources

_SEND: Final = tuple(Action).index(Action.SEND)

# The part of the stall time that a batch may take until it is answered, and how many files the first have.
_PART: Final = 1 / 8
_FIRST: Final = 32


@dataclass(slots=True)
class Opened:
    """A file that streams have asked to open: what they share of it."""

    source: Source | None = None
    users: int = 0


class Outbox:
    """All files of a reader.  Methods may be called from any thread."""

    def __init__(self, policy: Policy, sources: Sources, log: Log) -> None:
        self.checksum = sum_of(policy.checksum)
        self.comparing = COMPARING_SUM
        self.lock = threading.Lock()
        self.finished_files = 0
        self.is_dismissed = False  # the writer wants nothing more
        self.streams_wanted = 0  # of the writer, if it is the one that opens them; 0: it decides by itself
        self._plan = Plan(self.checksum, self.comparing, policy.block_size, policy.readers)
        self._portions = Portions(policy.stall_timeout * _PART, _FIRST, MAX_BATCH_FILES)
        self._plan.batch_files = self._portions.files
        self._batch_streams = NEAR.batch_streams
        self._sources = sources
        self._log = log
        self._known = FirstLooks()
        self._opened: dict[int, Opened] = {}
        self._compared: set[int] = set()
        self._unused: deque[tuple[int, Source]] = deque()
        self._wakers: dict[int, int] = {}  # stream: an eventfd

    # --- orders -------------------------------------------------------------------------------------------------

    def look(self, path: bytes) -> Look | Problem:
        """Look at one file before it is read, by opening it."""
        try:
            source = self._sources.open(path)
            try:
                facts = source.facts()
            finally:
                source.close()
            if facts.mtime_ns not in TELLABLE_NS:
                raise SourceFailed(
                    f"{os.fsdecode(path)} was written {facts.mtime_ns // 10**9} s after 1970, which cannot be told",
                    remedy="give it a time between the years 1678 and 2261 (touch)",
                )
        except FdtError as exc:
            return exc.problem(Side.SOURCE, Phase.PREFLIGHT)
        return facts.size, facts.mtime_ns, facts.ctime_ns, facts.mode, facts.identity[0]

    def note_looks(self, paths: Sequence[bytes], looks: Mapping[int, Look]) -> None:
        """Remember what was found, in the order of `paths`.  Raises ProtocolViolation."""
        with self.lock:
            self._known.note(array("q", looks), paths, tuple(looks.values()))

    def release(self, files: Iterable[ReleasedFile], *, last: bool) -> None:
        """Put described files into the plan.  Raises ProtocolViolation."""
        rows = Columns.of(ReleasedFile, files)
        with self.lock:
            if (unknown := self._known.unknown(indexes := rows.numbers("index"))) is not None:
                raise ProtocolViolation(f"file {unknown} was not described")
            if _is_plain(rows) and not self._plan.devices.is_bounded:
                self._plan.add_plain(indexes, self._known.sizes(indexes))
            else:
                for file in rows:
                    self._add(file, self._known[file.index])
            if last:
                self._plan.close()
        self.wake_all()

    def _add(self, file: ReleasedFile, known: Known) -> None:
        if file.action is Action.COMPARE:
            self._compared.add(file.index)
        place = Place(known.device, file.device, file.writers)
        self._plan.add(file.index, known.size, file.action, file.kept, file.window, place)

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.is_dismissed or self._plan.is_finished

    def wants_streams(self, streams: int) -> bool:
        """Whether one more stream would have something to do."""
        with self.lock:
            batches = streams < self._batch_streams
            return not self.is_dismissed and self._plan.waits_for_streams(streams, batches=batches)

    def spread(self, spread: Spread) -> None:
        """Suit the work to the path."""
        with self.lock:
            self._batch_streams = spread.batch_streams
            self._plan.shares = spread.shares

    def ask_for_streams(self, wanted: int) -> None:
        """Let the streams tell a writer that opens them how many there should be."""
        self.streams_wanted = wanted
        self.wake_all()

    # --- streams ------------------------------------------------------------------------------------------------

    def join(self, stream: int) -> int:
        """Take on a stream; returns an eventfd that is readable when there may be something new to do."""
        waker = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        with self.lock:
            self._wakers[stream] = waker
        return waker

    def leave(self, stream: int, unanswered: Iterable[Work]) -> None:
        """Let go of a stream; what it was not answered for travels on the others."""
        with self.lock:
            os.close(self._wakers.pop(stream))
            self._plan.lost(stream, unanswered)
        self.wake_all()

    def wake_all(self) -> None:
        """Make all streams look at the plan."""
        with self.lock:
            for waker in self._wakers.values():
                os.eventfd_write(waker, 1)

    def next(self, stream: int) -> Work | None:
        """Deal the next piece of work."""
        with self.lock:
            if self.is_dismissed:
                return None
            batches = stream in sorted(self._wakers)[: self._batch_streams]
            return self._plan.next(stream, batches=batches)

    def sent(self, work: Work, checksum: int = 0) -> None:
        """Note that `work` has left."""
        with self.lock:
            self._plan.sent(work, checksum)
            grew = self._plan.devices.is_bounded
        if grew:
            self.wake_all()

    def failed(self, file: int, error: FdtError) -> None:
        """Give up a file because of its source."""
        self._log.trouble("source-failed", file=file, path=self.path(file), code=error.code, reason=error.reason)
        with self.lock:
            self._plan.failed(file, error.problem(Side.SOURCE, Phase.TRANSFER))

    def take(self, event: Event) -> None:
        """Note what the writer answered."""
        grew = False
        with self.lock:
            if isinstance(event, Answered):
                grew = self._plan.has_window(event.work) or self._plan.devices.is_bounded
                self._finish(self._plan.answered(event.work))
                grew = grew or self._plan.is_finished
            elif isinstance(event, Refused):
                self._log.trouble("block-refused", file=event.work.file, offset=event.work.offset)
                self._plan.refused(event.work)
                grew = True
            elif isinstance(event, RefusedSmall):
                self._log.trouble("block-refused", file=event.file, offset=0)
                self._plan.refused_small(event.file)
                grew = True
            elif isinstance(event, Dropped):
                self._plan.dropped(event.file)
                self._finish([event.file] if event.file in self._known else [])
                grew = True
            elif isinstance(event, Farewell):
                self.is_dismissed = True
                grew = True
        if grew:
            self.wake_all()

    def note_silence(self, files: int, seconds: float) -> None:
        """Note for how long nothing was heard on a stream until so many files of batches were answered for."""
        with self.lock:
            self._portions.note(files, seconds)
            self._plan.batch_files = self._portions.files

    def note_unanswered(self, work: Work, seconds: float) -> None:
        """Note that a stream is taken for dead as there was no answer to this for so long.

        If that was a batch it may only have been too large for its destination: it does not travel again as it was.
        """
        if isinstance(work, BatchWork):
            with self.lock:
                self._portions.note_unanswered(len(work.files), seconds)
                self._plan.batch_files = self._portions.files

    # --- sources ------------------------------------------------------------------------------------------------

    def path(self, file: int) -> bytes:
        """Return the path of a file that was released."""
        return self._known[file].path

    def facts(self, files: Iterable[int]) -> Iterator[tuple[int, bytes, int, int, int]]:
        """Return what pre-flight found of each of these: itself, path, size, mtime_ns, ctime_ns."""
        return self._known.facts(files)

    @contextmanager
    def reading(self) -> Iterator[Reading | None]:
        """Read small files one behind the other, where the storage can."""
        reading = self._sources.reading()
        try:
            yield reading
        finally:
            if reading is not None:
                reading.close()

    def is_compared(self, file: int) -> bool:
        """Whether the file exists at the destination and is only compared."""
        return file in self._compared

    def open(self, file: int) -> Source:
        """Return the open source; `done_with` gives it back.  Raises what `Sources.open` raises."""
        with self.lock:
            shared = self._opened.setdefault(file, Opened())
            shared.users += 1
            if shared.source is not None:
                return shared.source
        # Not with the lock: an open may take as long as its file system likes, and the other streams go on.
        try:
            opened = self._sources.open(self._known[file].path)
        except BaseException:
            self.done_with(file)
            raise
        return self._first(shared, opened)

    def _first(self, shared: Opened, opened: Source) -> Source:
        """Return the source that was opened first, and close another."""
        with self.lock:
            first = shared.source = shared.source or opened
        if first is not opened:
            opened.close()
        return first

    def done_with(self, file: int) -> None:
        """Give back what `open` gave."""
        with self.lock:
            self._opened[file].users -= 1
            self._put_off_if_over(file)

    def unused(self) -> Iterator[tuple[int, Source]]:
        """Return what nobody needs any more, each to one thread, which closes it: that may hang as all else."""
        while self._unused:
            try:
                yield self._unused.popleft()
            except IndexError:
                return  # another thread was faster

    def open_alone(self, file: int) -> Source:
        """Open a small file for one read; the caller closes it."""
        return self._sources.open(self._known[file].path)

    def check_unchanged(self, file: int, facts: Facts) -> None:
        """Compare a fresh look with what pre-flight found.  Raises SourceChanged."""
        known = self._known[file]
        if (facts.size, facts.mtime_ns) != (known.size, known.mtime_ns):
            what = f"was {known.size} bytes and is {facts.size}" if facts.size != known.size else "was rewritten"
            raise SourceChanged(f"{os.fsdecode(known.path)} changed while it was sent: it {what}")
        # Whoever writes and puts the time back cannot put this one back.  A new mode, owner or link moves it, too: that
        # costs another attempt, and half of an old content with half of a new one would cost the data.
        if facts.ctime_ns != known.ctime_ns:
            name = os.fsdecode(known.path)
            raise SourceChanged(f"{name} changed while it was sent: its content, mode, owner or links did")

    def end_of(self, work: EndWork) -> End:
        """Look at a file after its last byte was read.  Raises SourceChanged, SourceFailed."""
        source = self.open(work.file)
        try:
            facts = source.facts()
        finally:
            self.done_with(work.file)
        self.check_unchanged(work.file, facts)
        return End(facts.size, facts.mtime_ns, facts.ctime_ns, work.checksum)

    def _finish(self, files: Iterable[int]) -> None:
        over = self._known.over
        for file in files:
            self.finished_files += not over[file]
            over[file] = True
            if self._opened:
                self._put_off_if_over(file)

    def _put_off_if_over(self, file: int) -> None:
        shared = self._opened.get(file)
        if shared is None or shared.users or not self._known.over[file]:
            return
        del self._opened[file]
        if shared.source is not None:
            self._unused.append((file, shared.source))


def _is_plain(files: Columns[ReleasedFile]) -> bool:
    """Whether all are just to be sent."""
    if set(files.codes("action")) - {_SEND} or files.rest("kept"):
        return False
    return not any(files.raw(name) for name in ("window", "device", "writers"))
