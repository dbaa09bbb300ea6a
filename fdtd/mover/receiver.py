"""The listening side: what has arrived of each file, and what may be written where.

Decides, for every frame and before a byte of it is written, whether it fits the job; whether its bytes are to be
written or were there already; when a file is complete and verified.  A block belongs to one stream from its header to
its trailer; when the same block arrives on another stream, the old stream is to be ended first (its thread may hang
in a read and would write late), so a complete file is a file that nobody writes to.

Pure and not thread-safe: `fdtd.mover.writer` holds the lock.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Final

from fdtcp.errors import ChecksumMismatch, FdtError, Phase, Problem, ProtocolViolation, Side, SourceChanged
from fdtcp.model.order import Action, DestinationFile, Extent
from fdtd.mover.arrival import Arrival, State
from fdtd.mover.arrivals import Arrivals
from fdtd.mover.frames import SMALL_FILE_BYTES, End, Entry
from fdtd.mover.sums import Sum

# A flipped bit is sent again; the same block damaged this often is a broken machine.
MAX_REFUSALS: Final = 4


# What is remembered of each block takes memory: a peer shall not make us remember more blocks than a file of such
# blocks has.  Some more are for short ones beside parts that were kept, and at the end of a file.
LEAST_BLOCK_BYTES: Final = 64 << 10
_SPARE_BLOCKS: Final = 1024


class Reply(Enum):
    """What the stream answers."""

    ACK = "ack"
    NAK = "nak"
    DROP = "drop"  # FILE_DONE, then ACK: the file is final, nothing more of it is wanted


class Fate(Enum):
    """What to do with the payload of a block."""

    WRITE = "write"
    DISCARD = "discard"  # it is there already, or the file has failed
    CONTEST = "contest"  # another stream owns it: end that one first, then ask again


class Receiver:
    """All files that a writer was told to expect."""

    def __init__(self, checksum: Sum, comparing: Sum, least_block: int = LEAST_BLOCK_BYTES) -> None:
        """`least_block`: what blocks have on average at least."""
        self._least_block = least_block
        self._checksum = checksum
        self._comparing = comparing
        self.arrivals = Arrivals(lambda file: Arrival(file, Action.SEND, checksum, {}, []))
        self._owners: dict[int, set[tuple[int, int]]] = {}  # stream: {(file, offset)}

    # --- what is expected ---------------------------------------------------------------------------------------

    def expect(self, file: DestinationFile, action: Action, kept: Iterable[Extent] = ()) -> Arrival:
        """Expect one file.  Raises ProtocolViolation for one that is expected already."""
        self._check_new({file.index: file})
        checksum = self._comparing if action is Action.COMPARE else self._checksum
        extents = {extent.offset: extent for extent in kept}
        arrival = Arrival(file, action, checksum, extents, sorted(extents))
        self.arrivals[file.index] = arrival
        return arrival

    def expect_plain(self, files: Mapping[int, DestinationFile]) -> None:
        """Expect small files, by index, of which nothing is there.

        Raises ProtocolViolation for one that is expected already.
        """
        self._check_new(files)
        self.arrivals.expect_plain(files)

    def _check_new(self, files: Mapping[int, DestinationFile]) -> None:
        if (known := self.arrivals.known(files)) is not None:
            raise ProtocolViolation(f"file {known} is expected twice")

    def arrival(self, file: int) -> Arrival:
        """Return the file of that index.  Raises ProtocolViolation."""
        try:
            return self.arrivals[file]
        except KeyError:
            raise ProtocolViolation(f"file {file} is not expected") from None

    # --- blocks -------------------------------------------------------------------------------------------------

    def begin(self, stream: int, file: int, offset: int, length: int) -> tuple[Fate, set[int]]:
        """Take the header of a BLOCK; returns what to do and the streams in the way.  Raises ProtocolViolation."""
        arrival = self.arrival(file)
        if arrival.action is not Action.SEND:
            raise ProtocolViolation(f"a BLOCK for file {file}, which is not to be sent")
        if offset + length > arrival.file.size:
            raise ProtocolViolation(f"a BLOCK of file {file} beyond its end")
        if not arrival.is_open or arrival.parts.get(offset, (-1,))[0] == length:
            return Fate.DISCARD, set()
        rivals = set()
        for start in _overlapping(arrival, offset, length):
            if start in arrival.parts:
                raise ProtocolViolation(f"a BLOCK of file {file} overlaps another at {start}")
            rivals.add(arrival.owned[start][1])
        if _is_kept(arrival, offset, length):
            # Its sum would vouch for bytes that are not there any more.
            raise ProtocolViolation(f"a BLOCK of file {file} over a kept part at {offset}")
        if stream in rivals:
            raise ProtocolViolation(f"a BLOCK of file {file} inside another at {offset}")
        if rivals:
            return Fate.CONTEST, rivals
        self._check_number(arrival)
        if arrival.state is State.EXPECTED:
            arrival.move(State.RECEIVING)
        arrival.owned[offset] = (length, stream)
        insort(arrival.starts, offset)
        self._owners.setdefault(stream, set()).add((file, offset))
        return Fate.WRITE, set()

    def written(self, stream: int, file: int, offset: int, value: int) -> Reply:
        """Take the trailer of a block that was written and whose checksum was right."""
        arrival = self.arrivals[file]
        length = self._disown(stream, arrival, offset)
        if not arrival.is_open:
            return self._final_reply(arrival)
        arrival.moved += length
        self._take(arrival, offset, length, value)
        return self._complete(arrival)

    def damaged(self, stream: int, file: int, offset: int) -> Reply:
        """Take the trailer of a block whose checksum was wrong."""
        arrival = self.arrivals[file]
        self._disown(stream, arrival, offset)
        return self._refuse(arrival, offset)

    def void(self, stream: int, file: int, offset: int) -> Reply:
        """Take the trailer of a block that the source could not read; FILE_ABORT follows."""
        self._disown(stream, self.arrivals[file], offset)
        return Reply.ACK

    def discarded(self, file: int) -> Reply:
        """Take the trailer of a block that was not wanted."""
        return self._final_reply(self.arrivals[file])

    def stream_lost(self, stream: int) -> set[int]:
        """Take back what a stream owned; returns the files.  Its thread must not write any more."""
        files = set()
        for file, offset in sorted(self._owners.get(stream, ())):
            arrival = self.arrivals[file]
            self._disown(stream, arrival, offset)
            files.add(file)
        self._owners.pop(stream, None)
        return files

    # --- sums, small files, ends --------------------------------------------------------------------------------

    def kept_sum(self, file: int, offset: int, length: int, value: int) -> Reply:
        """Take a SUM for a part that an earlier attempt left.  Raises ProtocolViolation."""
        arrival = self.arrival(file)
        if not arrival.is_open or arrival.parts.get(offset, (-1,))[0] == length:
            return self._final_reply(arrival)
        extent = arrival.kept.get(offset)
        if extent is None and offset in arrival.kept_starts:
            return self._refuse(arrival, offset)  # our NAK went down with its stream
        if extent is None or extent.length != length:
            raise ProtocolViolation(f"a SUM of file {file} for a part that was not kept")
        if any(start in arrival.parts or start in arrival.owned for start in _overlapping(arrival, offset, length)):
            raise ProtocolViolation(f"a SUM of file {file} overlaps a block at {offset}")
        if extent.checksum != value:
            del arrival.kept[offset]
            return self._refuse(arrival, offset)
        if arrival.state is State.EXPECTED:
            arrival.move(State.RECEIVING)
        arrival.kept_bytes += length
        self._take(arrival, offset, length, value)
        return self._complete(arrival)

    def may_compare(self, file: int, offset: int, length: int) -> bool:
        """Whether this SUM is for a file that is compared, and still of interest.  Raises ProtocolViolation."""
        arrival = self.arrival(file)
        if arrival.action is not Action.COMPARE or offset + length > arrival.file.size:
            raise ProtocolViolation(f"a SUM of file {file} beyond its end")
        self._check_number(arrival)
        return arrival.is_open and offset not in arrival.parts

    def compared(self, file: int, offset: int, length: int, value: int) -> Reply:
        """Take a SUM of a file that is compared, after our own bytes gave the same value."""
        arrival = self.arrivals[file]
        if not arrival.is_open or offset in arrival.parts:
            return self._final_reply(arrival)
        if _overlapping(arrival, offset, length):
            raise ProtocolViolation(f"a SUM of file {file} overlaps another at {offset}")
        if arrival.state is State.EXPECTED:
            arrival.move(State.COMPARING)
        self._take(arrival, offset, length, value)
        return self._complete(arrival)

    def may_take_small(self, entry: Entry) -> bool:
        """Whether a file of a batch is to be written (else it was already).  Raises ProtocolViolation."""
        arrival = self.arrival(entry.file)
        if arrival.action is not Action.SEND or entry.size != arrival.file.size or entry.size > SMALL_FILE_BYTES:
            raise ProtocolViolation(f"file {entry.file} does not belong into a BATCH")
        return arrival.is_open and not arrival.owned and not arrival.parts

    def small_written(self, entry: Entry) -> None:
        """Take a file of a batch that was written and whose checksum was right."""
        arrival = self.arrivals[entry.file]
        if not arrival.is_open:
            return
        arrival.moved += entry.size
        arrival.value = entry.checksum
        if entry.mtime_ns != arrival.file.mtime_ns:
            self.fail(entry.file, _changed(arrival))
            return
        arrival.move(State.VERIFIED)

    def small_damaged(self, entry: Entry) -> Reply:
        """Take a file of a batch whose checksum was wrong."""
        return self._refuse(self.arrivals[entry.file], 0)

    def ended(self, file: int, end: End) -> Reply:
        """Take a FILE_END.  Raises ProtocolViolation."""
        arrival = self.arrival(file)
        if not arrival.is_open:
            return self._final_reply(arrival)
        if (end.size, end.mtime_ns) != (arrival.file.size, arrival.file.mtime_ns):
            self.fail(file, _changed(arrival))
            return Reply.DROP
        arrival.end = end
        return self._complete(arrival)

    def fail(self, file: int, problem: Problem) -> bool:
        """Decide that a file failed; False if it was final already."""
        arrival = self.arrivals[file]
        if arrival.state is State.FINAL:
            return False
        arrival.move(State.FINAL)
        arrival.problem = problem
        return True

    def finish(self, file: int) -> None:
        """Decide that a verified file is safe, or a file needs nothing."""
        self.arrivals[file].move(State.FINAL)

    # --- helpers ------------------------------------------------------------------------------------------------

    def _check_number(self, arrival: Arrival) -> None:
        most = arrival.file.size // self._least_block + 2 * len(arrival.kept_starts) + _SPARE_BLOCKS
        if len(arrival.starts) >= most:
            raise ProtocolViolation(f"file {arrival.file.index} comes in more than {most} blocks")

    def _disown(self, stream: int, arrival: Arrival, offset: int) -> int:
        length, owner = arrival.owned.pop(offset)
        assert owner == stream, "a block belongs to one stream"
        self._owners[stream].discard((arrival.file.index, offset))
        del arrival.starts[bisect_left(arrival.starts, offset)]
        return length

    def _take(self, arrival: Arrival, offset: int, length: int, value: int) -> None:
        arrival.parts[offset] = (length, value)
        arrival.verified += length
        insort(arrival.starts, offset)

    def _complete(self, arrival: Arrival) -> Reply:
        """Verify a file whose last byte and whose FILE_END are there."""
        if arrival.end is None or arrival.owned or arrival.verified != arrival.file.size:
            return Reply.ACK
        if arrival.action is Action.SEND and not arrival.parts:
            return Reply.ACK  # an empty file comes as an empty block, which may be slower than its FILE_END
        arrival.value = arrival.checksum.combine(arrival.parts[start] for start in arrival.starts)
        if arrival.value != arrival.end.checksum:
            if (refused := sum(arrival.refusals.values())) > arrival.doubted:
                # It was made before a block was refused and read again; behind each refusal comes another.
                arrival.doubted, arrival.end = refused, None
                return Reply.ACK
            self.fail(arrival.file.index, _mismatch(arrival, "the whole file"))
            return Reply.DROP
        arrival.move(State.VERIFIED)
        return Reply.ACK

    def _refuse(self, arrival: Arrival, offset: int) -> Reply:
        if not arrival.is_open:
            return self._final_reply(arrival)
        arrival.refusals[offset] = arrival.refusals.get(offset, 0) + 1
        if arrival.refusals[offset] < MAX_REFUSALS:
            return Reply.NAK
        self.fail(arrival.file.index, _mismatch(arrival, f"the block at {offset}"))
        return Reply.DROP

    def _final_reply(self, arrival: Arrival) -> Reply:
        return Reply.DROP if arrival.problem is not None else Reply.ACK


def _overlapping(arrival: Arrival, offset: int, length: int) -> list[int]:
    """Return the starts of parts that share bytes with [offset, offset + length)."""
    return list(_overlaps(arrival, offset, length))


def _overlaps(arrival: Arrival, offset: int, length: int) -> Iterator[int]:
    position = bisect_left(arrival.starts, offset)
    if position > 0:
        before = arrival.starts[position - 1]
        if before + (arrival.parts.get(before) or arrival.owned[before])[0] > offset:
            yield before
    while position < len(arrival.starts) and arrival.starts[position] < offset + length:
        yield arrival.starts[position]
        position += 1


def _is_kept(arrival: Arrival, offset: int, length: int) -> bool:
    """Whether a part that was kept, and has not been refused, shares bytes with [offset, offset + length)."""
    starts = arrival.kept_starts
    near = starts[max(0, bisect_right(starts, offset) - 1) : bisect_left(starts, offset + length)]
    return any((one := arrival.kept.get(start)) and start + one.length > offset for start in near)


def _changed(arrival: Arrival) -> Problem:
    return _source_problem(SourceChanged(f"{_name(arrival)} changed while it was sent"))


def _mismatch(arrival: Arrival, what: str) -> Problem:
    error = ChecksumMismatch(f"{_name(arrival)}: {what} has another checksum than at the source")
    return error.problem(Side.DESTINATION, Phase.VERIFY)


def _source_problem(error: FdtError) -> Problem:
    return error.problem(Side.SOURCE, Phase.TRANSFER)


def _name(arrival: Arrival) -> str:
    return arrival.file.path.decode("utf-8", "replace")
