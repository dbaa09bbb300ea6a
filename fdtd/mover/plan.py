"""Which block travels on which stream.

Decides the order of work of a reader: small files in batches, those that are short on few streams and the others on
all, in their turn among the large ones; one large file a stream, because two threads that write one file at the
destination fight for its inode lock (1975 against 3395 MB/s); striping over streams when large files are fewer than
streams, so also at the tail.  Blocks are dealt one at a time, when a stream has room: a slow or dead stream never holds
a file.  What a dead stream had not been answered for goes back and travels on the others.

Where the files of a device are bounded (`fdtd.mover.devices`), streams help with one that was begun instead of
beginning another.

Pure and not thread-safe: `fdtd.mover.reader` holds the lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

from fdtcp.errors import Problem, ProtocolViolation
from fdtcp.model.order import Action, Extent
from fdtd.mover.blocks import Blocks
from fdtd.mover.devices import ANYWHERE, Devices, Place, Waiting
from fdtd.mover.distance import share_of
from fdtd.mover.frames import BATCH_BYTES, MAX_BATCH_FILES, SHORT_FILE_BYTES, SMALL_FILE_BYTES
from fdtd.mover.sums import Sum
from fdtd.mover.work import AbortWork, BatchWork, BlockWork, EndWork, Work, cut

# A comparison moves no payload, so a piece need not be as small as a block: this much is read per answer.
COMPARE_BYTES: Final = 64 << 20

# At least so many blocks travel within the window of a file that has one.
_WINDOW_BLOCKS: Final = 4


class Plan:
    """All files that a reader was told to send, and how far each is."""

    def __init__(self, checksum: Sum, comparing: Sum, block_size: int, readers: int = 0) -> None:
        """`readers`: files of one source device that are read at the same time, 0: any number."""
        self._checksum = checksum
        self._comparing = comparing
        self._block_size = block_size
        self.batch_files = MAX_BATCH_FILES  # at most
        self.shares = 0  # streams among which the end of a file is shared out (`fdtd.mover.distance`), 0: it is not
        self._files: dict[int, Blocks] = {}
        self.devices = Devices(readers)
        self._fresh = Waiting()  # large files that no stream has begun, and small ones that are not short
        self._begun: deque[int] = deque()  # large files that may still have blocks to deal
        self._short = Waiting()
        self._sizes: dict[int, int] = {}  # of the small files
        self._ends: deque[int] = deque()
        self._aborts: deque[AbortWork] = deque()
        self._current: dict[int, int] = {}  # stream: the large file it works on
        self._last = False

    # --- what comes in ------------------------------------------------------------------------------------------

    def add(
        self,
        file: int,
        size: int,
        action: Action,
        kept: Iterable[Extent] = (),
        window: int = 0,
        place: Place = ANYWHERE,
    ) -> None:
        """Take on a new file; `window`: how far its blocks may run ahead, 0: any way.  Raises ProtocolViolation."""
        if file in self._files or file in self._sizes:
            raise ProtocolViolation(f"file {file} was released twice")
        if action is Action.SKIP:
            return
        # What is compared is read at both ends, and written at none.
        place = self.devices.add(file, Place(place.source) if action is Action.COMPARE else place)
        if action is Action.COMPARE:
            cuts = cut(file, 0, size, COMPARE_BYTES, payload=False)
            self._files[file] = Blocks(size, cuts, self._comparing)
        elif size <= SMALL_FILE_BYTES and not tuple(kept):
            self._sizes[file] = size
            self._lanes_of(size).append(file, place)
            return
        elif window > 0:
            # Several blocks fit into the window, or streams would take turns.
            step = max(min(self._block_size, window // _WINDOW_BLOCKS), 1)
            cuts = cut(file, 0, size, step, payload=True)
            self._files[file] = Blocks(size, cuts, self._checksum, window=window)
        else:
            self._files[file] = Blocks(size, self._cut_around(file, size, kept), self._checksum)
        self._fresh.append(file, place)

    def add_plain(self, files: Sequence[int], sizes: Sequence[int]) -> None:
        """Take on files that are just to be sent, while no device is bounded.  Raises as `add`."""
        short = dict(zip(files, sizes, strict=True))
        is_new = short.keys().isdisjoint(self._sizes) and short.keys().isdisjoint(self._files)
        if is_new and len(short) == len(files) and max(sizes, default=0) <= SHORT_FILE_BYTES:
            self._sizes |= short
            self._short.extend(files)
            return
        for file, size in zip(files, sizes, strict=True):
            self.add(file, size, Action.SEND)

    def close(self) -> None:
        """Note that no more files will come."""
        self._last = True

    @property
    def is_finished(self) -> bool:
        """Whether every file that will ever come has been answered for."""
        return self._last and not self._files and not self._sizes

    def waits_for_streams(self, streams: int, *, batches: bool = False) -> bool:
        """Whether another stream beside `streams` would have something to do; `batches`: it would carry short files."""
        blocks = 0
        step = self._step(0)
        for file in chain(self._begun, self._fresh):
            entry = self._files.get(file)
            blocks += -(-entry.size // step) if entry is not None and entry.has_block() else file in self._sizes
            if blocks > 2 * streams:
                return True
        return batches and self._has_batches(2 * streams)

    def _has_batches(self, count: int) -> bool:
        """Whether the short files fill more than `count` batches."""
        room = count * BATCH_BYTES
        for file in self._short:
            room -= max(self._sizes.get(file, 0), BATCH_BYTES // MAX_BATCH_FILES)
            if room < 0:
                return True
        return False

    # --- dealing ------------------------------------------------------------------------------------------------

    def next(self, stream: int, *, batches: bool) -> Work | None:
        """Deal the next piece of work to `stream`; `batches`: it is one of those that carry short files."""
        if (abort := self._next_abort()) is not None:
            return abort
        if (end := self._next_end()) is not None:
            return end
        if batches and (batch := self._next_batch()) is not None:
            return batch
        return self._next_block(stream)

    def _next_abort(self) -> AbortWork | None:
        while self._aborts:
            work = self._aborts.popleft()
            # The destination may have dropped the file before it could be told.
            if (entry := self._files.get(work.file)) is not None:
                entry.unanswered += 1
                return work
        return None

    def _next_end(self) -> EndWork | None:
        while self._ends:
            file = self._ends.popleft()
            entry = self._files.get(file)
            if entry is None or entry.end_dealt or not self._is_sent(entry):
                continue
            entry.end_dealt = True
            entry.unanswered += 1
            return EndWork(file, entry.checksum.combine(entry.sums[offset] for offset in sorted(entry.sums)))
        return None

    def _next_batch(self) -> BatchWork | None:
        while (found := self._short.next_lane(self.devices)) is not None:
            if found[0][0] in self._sizes:
                return self._batch_of(*found)
            found[0].popleft()  # the destination wants it no more
        return None

    def _batch_of(self, lane: deque[int], place: Place) -> BatchWork:
        """Deal the small files that are first in `lane`, as many as fit."""
        files: list[int] = []
        room = BATCH_BYTES
        while lane and len(files) < self.batch_files and (size := self._sizes.get(lane[0], room + 1)) <= room:
            room -= size
            files.append(lane.popleft())
        if self.devices.is_bounded:
            self.devices.begin(~files[0], place)  # its files are read, and written, one by one
        return BatchWork(tuple(files))

    def _next_block(self, stream: int) -> Work | None:
        current = self._current.get(stream)
        if current is not None:
            if (work := self._block_of(current)) is not None:
                return work
            del self._current[stream]
            if current in self._begun and not self._waits(current):
                self._begun.remove(current)
        return self._next_fresh(stream) or self._next_begun(stream)

    def _next_fresh(self, stream: int) -> Work | None:
        while (found := self._fresh.next_lane(self.devices)) is not None:
            if found[0][0] in self._sizes:
                return self._batch_of(*found)
            file = found[0].popleft()
            entry = self._files.get(file)
            if entry is None:
                continue
            if not entry.has_block():  # an empty file that is compared
                self._ends.append(file)
                return self._next_end()
            self._begun.append(file)
            self._current[stream] = file
            return self._block_of(file)
        return None

    def _next_begun(self, stream: int) -> BlockWork | None:
        for _ in range(len(self._begun)):
            file = self._begun.popleft()
            if (work := self._block_of(file)) is not None:
                self._begun.append(file)
                self._current[stream] = file
                return work
            if self._waits(file):
                self._begun.append(file)
        return None

    def _waits(self, file: int) -> bool:
        """Whether a file has blocks that may not go yet: its window is full, or its device is busy."""
        entry = self._files.get(file)
        return entry is not None and entry.has_block()

    def _block_of(self, file: int) -> BlockWork | None:
        entry = self._files.get(file)
        if entry is None or not self._may_go_on(file, entry) or (work := entry.next_block()) is None:
            return None
        entry.unsent += 1
        entry.unanswered += 1
        return work

    def _may_go_on(self, file: int, entry: Blocks) -> bool:
        devices = self.devices
        return not devices.is_bounded or (entry.has_block() and devices.begin(file, devices.place_of(file)))

    def has_window(self, work: Work) -> bool:
        """Whether an answer to `work` may let other blocks go."""
        return isinstance(work, BlockWork) and (entry := self._files.get(work.file)) is not None and entry.window > 0

    # --- what became of it --------------------------------------------------------------------------------------

    def sent(self, work: Work, checksum: int = 0) -> None:
        """Note that `work` has left, with the checksum of what was read."""
        if isinstance(work, BlockWork) and (entry := self._files.get(work.file)) is not None:
            entry.unsent -= 1
            entry.sums[work.offset] = (work.length, checksum)
            if self._is_sent(entry):
                self._ends.append(work.file)
                self.devices.note_read(work.file, self.devices.place_of(work.file))
        elif isinstance(work, BatchWork):
            self.devices.note_read(~work.files[0], self.devices.place_of(work.files[0]))

    def answered(self, work: Work) -> list[int]:
        """Note an acknowledgement; returns the files that are finished by it."""
        if isinstance(work, BatchWork):
            self.devices.note_over(~work.files[0], self.devices.place_of(work.files[0]))
            return [file for file in work.files if self._sizes.pop(file, None) is not None]
        entry = self._files.get(work.file)
        if entry is None:
            return []
        entry.unanswered -= 1
        if isinstance(work, BlockWork):
            entry.dealt.discard(work.offset)
        if isinstance(work, EndWork):
            entry.end_answered = entry.end_dealt
        if isinstance(work, AbortWork) or (entry.end_answered and entry.unanswered == 0):
            del self._files[work.file]
            self._note_over(work.file)
            return [work.file]
        return []

    def refused(self, work: BlockWork) -> None:
        """Send a block again: what arrived was not what left."""
        if (entry := self._files.get(work.file)) is not None and not entry.aborted:
            entry.unanswered -= 1
            entry.end_dealt = entry.end_answered = False
            self._return(entry, [*self._pieces(work)])

    def refused_small(self, file: int) -> None:
        """Send one file of a batch again, as a block of its own."""
        size = self._sizes.pop(file, None)
        if size is None:
            return
        self._files[file] = Blocks(size, iter(()), self._checksum)
        self._return(self._files[file], [BlockWork(file, 0, size, payload=True)])

    def failed(self, file: int, problem: Problem) -> None:
        """Give up a file because its source failed; the destination will be told."""
        was_small = self._sizes.pop(file, None) is not None
        entry = self._files.get(file)
        if (entry is None and not was_small) or (entry is not None and entry.aborted):
            return  # it has ended already
        # All its work is dropped; answers to what is still under way find another entry, which does not mind.
        self._files[file] = Blocks(0, iter(()), self._checksum, end_dealt=True, aborted=True)
        self._note_over(file)
        self._aborts.append(AbortWork(file, problem))

    def dropped(self, file: int) -> None:
        """Forget a file that the destination wants no more of."""
        self._files.pop(file, None)
        self._sizes.pop(file, None)
        self._note_over(file)

    def lost(self, stream: int, works: Iterable[Work]) -> None:
        """Take back what a dead stream was dealt and not answered for."""
        self._current.pop(stream, None)
        for work in works:
            if isinstance(work, BatchWork):
                place = self.devices.place_of(work.files[0])
                self.devices.note_over(~work.files[0], place)
                files = [file for file in work.files if file in self._sizes]
                if files:
                    self._lanes_of(self._sizes[files[0]]).put_back(files, place)
                continue
            entry = self._files.get(work.file)
            if entry is None or (entry.aborted and not isinstance(work, AbortWork)):
                continue
            entry.unanswered -= 1
            if isinstance(work, BlockWork):
                if work.offset not in entry.sums:
                    entry.unsent -= 1
                entry.end_dealt = entry.end_answered = False
                self._return(entry, [work])
            elif isinstance(work, EndWork):
                entry.end_dealt = entry.end_answered = False
                self._ends.append(work.file)
            else:
                self._aborts.append(work)

    # --- helpers ------------------------------------------------------------------------------------------------

    def _lanes_of(self, size: int) -> Waiting:
        """Return where small files of that size wait."""
        return self._short if size <= SHORT_FILE_BYTES else self._fresh

    def _note_over(self, file: int) -> None:
        self.devices.note_over(file, self.devices.place_of(file))

    def _return(self, entry: Blocks, works: list[BlockWork]) -> None:
        for work in works:
            entry.sums.pop(work.offset, None)
            entry.dealt.discard(work.offset)
            entry.returned.append(work)
        file = works[0].file
        if file not in self._begun:
            self._begun.append(file)

    def _is_sent(self, entry: Blocks) -> bool:
        return entry.unsent == 0 and not entry.end_dealt and not entry.has_block()

    def _pieces(self, work: BlockWork) -> Iterator[BlockWork]:
        """Cut a refused part that was only summed into blocks of the usual size."""
        return cut(work.file, work.offset, work.offset + work.length, self._block_size, payload=True)

    def _cut_around(self, file: int, size: int, kept: Iterable[Extent]) -> Iterator[BlockWork]:
        """Cut a file into blocks, and into the parts that the destination has kept."""
        at = 0
        for extent in sorted(kept, key=lambda extent: extent.offset):
            yield from self._cut_finer(file, at, extent.offset, size)
            yield BlockWork(file, extent.offset, extent.length, payload=False)
            at = extent.offset + extent.length
        yield from self._cut_finer(file, at, size, size)

    def _cut_finer(self, file: int, at: int, end: int, size: int) -> Iterator[BlockWork]:
        """Cut a part into blocks that become smaller towards the end of the file, if that is to be shared out."""
        while at < end:
            length = min(self._step(size - at), end - at)
            yield BlockWork(file, at, length, payload=True)
            at += length

    def _step(self, left: int) -> int:
        """Return the size of the next block of a file of which so much is left."""
        return self._block_size if self._fresh else share_of(left, self.shares, self._block_size)
