"""The writing side of one stream: frames from the socket into the landing, answers back.

Decides how bytes get from the socket to the file: with a checksum in pieces that are summed while they are hot in the
cache and then written; without one by splice, which never copies them into this process, unless they are encrypted.
Runs in a thread of its own; the socket belongs to it, others may only shut it down.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import select
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Final

from fdtcp.errors import DestinationFailed, FdtError, ProtocolViolation
from fdtcp.model.order import Checksum, StreamProgress
from fdtd.mover.checkpoints import Checkpoints
from fdtd.mover.comparing import Comparing
from fdtd.mover.frames import (
    BATCH_BYTES,
    HEADER_BYTES,
    OF_BATCH,
    TRAILER_BYTES,
    Entry,
    Header,
    Kind,
    decode_abort,
    decode_batch,
    decode_end,
    decode_trailer,
    encode_header,
)
from fdtd.mover.landing import Landing
from fdtd.mover.log import Log
from fdtd.mover.rate import RateLimit
from fdtd.mover.receiver import Reply
from fdtd.mover.smalls import Smalls
from fdtd.mover.streams import (
    Ending,
    StreamBroken,
    Wire,
    cipher_of,
    ending_by,
    hang_up,
    has_buffered,
    is_plain,
    name_of,
    read_exactly,
    read_header,
    read_payload,
    send_all,
)
from fdtd.mover.sums import PIECE_BYTES
from fdtd.storage.base import Existing, Partial
from fdtd.storage.posix_errors import destination_error

# As much as a pipe may hold without privileges.
_PIPE_BYTES: Final = 1 << 20

# One write through the page cache, and what is worth one when it comes through a pipe: streams of one file wait for
# each other's writes, and each time somebody has to be woken up.
_WRITE_BYTES: Final = 1 << 20
_SPLICED_BYTES: Final = _PIPE_BYTES // 2

# Waking up takes as long as writing so much: all but that is written in turn.
_REST_BYTES: Final = 64 << 10

# A few round trips of the longest paths on earth.
_DRAIN_S: Final = 1.0


class ReceivingStream:
    """One authenticated stream of a writer."""

    def __init__(self, stream: Wire, number: int, landing: Landing, finished: int, log: Log, rate: RateLimit) -> None:
        self.number = number
        self.moved = 0
        self.has_carried = False  # whether anything has come whole
        self._ending: Ending | None = None
        self._stream = stream
        self._landing = landing
        self._comparing = Comparing(landing)
        self._checkpoints = Checkpoints(landing)
        self._smalls = Smalls(landing, number)
        self._finished = finished
        self._log = log
        self._rate = rate
        self._checksum = landing.checksum
        self._names = (name_of(stream.getsockname()), name_of(stream.getpeername()))
        self._cipher = cipher_of(stream)
        self._buffer = _pages(max(_WRITE_BYTES, BATCH_BYTES))
        self._scratch = memoryview(bytearray(HEADER_BYTES))
        self._pipe: tuple[int, int] | None = None
        self._alive = True
        self._parts = {Kind.BLOCK: self._block, Kind.BATCH: self._batch, Kind.SUM: self._sum_only}

    def run(self) -> Ending:
        """Receive until the stream ends, one way or another."""
        self._landing.stream_opened(self)
        self._log.event(
            "stream-open",
            stream=self.number,
            local=self._names[0],
            remote=self._names[1],
            cipher=self._cipher or "none",
        )
        try:
            while self._wait():
                if not self._frame(read_header(self._stream, self._scratch)):
                    break
            send_all(self._stream, encode_header(Header(Kind.BYE)))
            if self._ending is None:  # nobody else has said that it is over
                self._ending = Ending.DONE
                self._drain()
            self._log.event("stream-end", stream=self.number, moved=self.moved, how=self._ending.value)
        except (StreamBroken, ProtocolViolation) as exc:
            self._log.trouble("stream-end", stream=self.number, moved=self.moved, reason=exc.reason)
        finally:
            self._alive = False
            self._drop_pipe()
            self._landing.stream_gone(self)
            self._stream.close()
            # Nobody looks for cycles here (program): what is large goes now, and what leads back to us.
            self._buffer, self._parts = memoryview(b""), {}
        return self._ending or (Ending.BROKEN if self.has_carried else Ending.BARREN)

    def end(self) -> None:
        """Make the thread go away; may be called from any thread."""
        hang_up(self._stream)

    def progress(self) -> StreamProgress:
        """Return what this stream has carried."""
        return StreamProgress(self.number, *self._names, self.moved, self._alive, self._cipher)

    def _wait(self) -> bool:
        """Wait for the next frame; False when nothing is wanted any more."""
        if has_buffered(self._stream):
            return True
        poll = select.poll()
        poll.register(self._stream, select.POLLIN)
        poll.register(self._finished, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll()}
        return self._stream.fileno() in ready

    def _drain(self) -> None:
        """Read what was under way when we said BYE: closing on it would reset the stream and lose the BYE."""
        self._stream.settimeout(_DRAIN_S)
        deadline = time.monotonic() + _DRAIN_S
        try:
            while time.monotonic() < deadline and self._stream.recv_into(self._buffer):
                pass
        except OSError:
            pass  # reset or silent: nobody reads the BYE any more

    def _frame(self, header: Header) -> bool:
        """Handle one frame; False after BYE."""
        if (part := self._parts.get(header.kind)) is not None:
            # A batch looks for room itself: it may have more files than there can be descriptors.
            with self._landing.room.taken(1) if header.kind is not Kind.BATCH else nullcontext():
                part(header)
            self.has_carried = True
        elif header.kind is Kind.FILE_END:
            end = decode_end(read_payload(self._stream, header))
            reply = self._landing.ended(header.file, lambda: self._landing.receiver.ended(header.file, end))
            self._answer(reply, header.file)
        elif header.kind is Kind.FILE_ABORT:
            problem = decode_abort(read_payload(self._stream, header))
            self._landing.fail(header.file, problem)
            self._answer(Reply.ACK, header.file)
        elif header.kind is Kind.BYE:
            self._ending = ending_by(header, self._stream)
            self._landing.is_all_sent |= self._ending is Ending.DONE
            return False
        elif header.kind is Kind.STREAMS:
            self._landing.on_streams(header.file)
        else:
            raise ProtocolViolation(f"a {header.kind.name} from the sender")
        return True

    # --- blocks -------------------------------------------------------------------------------------------------

    def _block(self, header: Header) -> None:
        partial = self._landing.begin(self, header)
        value, error = self._take_payload(header, partial)
        trailer = self._scratch[:TRAILER_BYTES]
        read_exactly(self._stream, trailer)
        expected, void = decode_trailer(trailer)
        if partial is None:
            reply = self._landing.discarded(header)
        elif error is not None:
            reply = self._landing.write_failed(self, header, error)
        elif void or (value != expected and value is not None):
            reply = self._landing.not_written(self, header, void=void)
        else:
            reply = self._accept(header, partial, expected)
        self._answer(reply, header.file, header.offset, header.length)

    def _accept(self, header: Header, partial: Partial, value: int) -> Reply:
        """Take a block whose checksum was right; a storage that takes bytes in order has them only now."""
        try:
            partial.accept(header.offset, header.length, self._landing.receiver.arrivals[header.file].file.size)
        except FdtError as exc:
            return self._landing.write_failed(self, header, exc)
        return self._landing.written(self, header, value)

    def _take_payload(self, header: Header, partial: Partial | None) -> tuple[int | None, FdtError | None]:
        """Move a payload into the file; returns its checksum (None: not asked for) and what the storage said."""
        direct = partial.direct_bytes if partial is not None else 0
        is_spliced = self._checksum.kind is Checksum.NONE and is_plain(self._stream) and not direct
        if is_spliced and partial is not None and partial.descriptor >= 0 and (pipe := self._open_pipe()) is not None:
            return None, self._splice(header, partial, pipe)
        if direct > len(self._buffer):
            self._buffer = _pages(direct)
        value = self._checksum.start
        error = None
        offset, end = header.offset, header.offset + header.length
        while offset < end:
            part = self._buffer[: min(direct or _WRITE_BYTES, end - offset)]
            value = self._fill(part, value)
            if partial is not None and error is None:
                try:
                    for start, length, turn in _steps(partial, len(part)):
                        with turn:
                            partial.write(part[start : start + length], offset + start)
                except FdtError as exc:
                    error = exc
            offset += len(part)
        return (None if self._checksum.kind is Checksum.NONE else value), error

    def _fill(self, part: memoryview, value: int) -> int:
        """Receive into `part`, summing pieces while they are hot in the cache; returns how the checksum goes on."""
        start = 0
        while start < len(part):
            piece = part[start : start + self._rate.piece_of(PIECE_BYTES)]
            self._rate.wait(len(piece))
            read_exactly(self._stream, piece)
            self.moved += len(piece)
            value = self._checksum.update(piece, value)
            start += len(piece)
        return value

    def _splice(self, header: Header, partial: Partial, pipe: tuple[int, int]) -> FdtError | None:
        """Move a payload from the socket into the file without copying it."""
        offset, end = header.offset, header.offset + header.length
        while offset < end:
            count = self._fill_pipe(pipe[1], end - offset)
            try:
                for start, length, turn in _steps(partial, count):
                    with turn:
                        _empty_pipe(pipe[0], partial.descriptor, offset + start, length)
            except OSError as exc:
                self._drop_pipe()  # with what is left in it
                self._discard(end - offset - count)
                return destination_error(partial.path, exc)
            offset += count
        return None

    def _discard(self, count: int) -> None:
        while count:
            part = self._buffer[: min(_WRITE_BYTES, count)]
            self._fill(part, self._checksum.start)
            count -= len(part)

    def _fill_pipe(self, write_end: int, most: int) -> int:
        """Take up to `most` bytes from the socket into the empty pipe; returns how many, more than none."""
        held = 0
        while held < min(_SPLICED_BYTES, most):
            count = min(self._rate.piece_of(_PIPE_BYTES), _PIPE_BYTES - held, most - held)
            try:
                # Not to wait is for the pipe, which may be full of small pieces; for the socket it waits all the same.
                count = os.splice(self._stream.fileno(), write_end, count, flags=os.SPLICE_F_NONBLOCK)
            except BlockingIOError as exc:
                if held:
                    break
                raise StreamBroken("receiving: no byte for too long") from exc
            except OSError as exc:
                raise StreamBroken(f"receiving: {exc.strerror}") from exc
            if count == 0:
                raise StreamBroken("the stream ended")
            self.moved += count
            self._rate.wait(count)
            held += count
        return held

    def _open_pipe(self) -> tuple[int, int] | None:
        """Return an empty pipe, if the account may have another one."""
        self._pipe = self._pipe or _make_pipe()
        return self._pipe

    def _drop_pipe(self) -> None:
        pipe, self._pipe = self._pipe, None
        for descriptor in pipe or ():
            os.close(descriptor)

    # --- sums and batches ---------------------------------------------------------------------------------------

    def _sum_only(self, header: Header) -> None:
        trailer = self._scratch[:TRAILER_BYTES]
        read_exactly(self._stream, trailer)
        expected, void = decode_trailer(trailer)
        if void:
            reply = Reply.ACK
        elif not self._comparing.is_compared(header.file):
            reply = self._checkpoints.kept_sum(header, expected)
        else:
            reply = self._compare(header, expected)
        self._answer(reply, header.file, header.offset, header.length)

    def _compare(self, header: Header, expected: int) -> Reply:
        existing = self._comparing.begin(header)
        if existing is None:
            return self._landing.discarded(header)
        try:
            value = self._sum_of(existing, header)
        except FdtError as exc:
            return self._comparing.failed(header, exc)
        finally:
            self._comparing.end(header.file)
        return self._comparing.is_same(header, value) if value == expected else self._comparing.is_different(header)

    def _sum_of(self, existing: Existing, header: Header) -> int:
        value = self._comparing.checksum.start
        offset, end = header.offset, header.offset + header.length
        while offset < end:
            piece = self._buffer[: min(PIECE_BYTES, end - offset)]
            if existing.read_into(piece, offset) != len(piece):
                raise DestinationFailed("the existing file became shorter while it was compared")
            value = self._comparing.checksum.update(piece, value)
            offset += len(piece)
        return value

    def _batch(self, header: Header) -> None:
        if header.length > len(self._buffer):
            self._buffer = _pages(header.length)
        payload = self._buffer[: header.length]
        self._rate.wait(header.length)
        read_exactly(self._stream, payload)
        entries, contents = decode_batch(header, payload)
        self.moved += len(contents)
        refused: list[Entry] = []
        while entries:
            part = self._landing.room.part
            some, entries = entries[:part], entries[part:]
            with self._landing.room.taken(len(some), of_batch=True) as share:
                refused += self._smalls.take(some, contents, share)
            if entries:
                contents = contents[sum(entry.size for entry in some) :]
        answers = [encode_header(Header(Kind.NAK, OF_BATCH, 0, entry.file, 0, entry.size)) for entry in refused]
        answers.append(encode_header(Header(Kind.ACK, OF_BATCH, 0, header.file)))
        send_all(self._stream, b"".join(answers))

    def _answer(self, reply: Reply, file: int, offset: int = 0, length: int = 0) -> None:
        kind = Kind.NAK if reply is Reply.NAK else Kind.ACK
        answer = encode_header(Header(kind, 0, 0, file, offset, length))
        if reply is Reply.DROP:
            answer = encode_header(Header(Kind.FILE_DONE, 0, 0, file)) + answer
        send_all(self._stream, answer)


def _steps(partial: Partial, count: int) -> Iterable[tuple[int, int, AbstractContextManager[object]]]:
    """Say which parts of `count` bytes to write with which turn: who is next wakes up during the last one."""
    if partial.turn is None:
        return ((0, count, nullcontext()),)
    most = max(0, count - _REST_BYTES)
    return (0, most, partial.turn), (most, count - most, nullcontext())


def _make_pipe() -> tuple[int, int] | None:
    """Return a large pipe; None where there may be none: what an account's pipes hold together is bounded (pipe(7))."""
    with ExitStack() as stack:
        try:
            pipe = os.pipe2(os.O_CLOEXEC)
            for descriptor in pipe:
                stack.callback(os.close, descriptor)
            fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError:
            return None
        stack.pop_all()
        return pipe


def _empty_pipe(read_end: int, descriptor: int, offset: int, count: int) -> None:
    """Move what is in the pipe to its place in the file.  Raises OSError."""
    while count:
        done = os.splice(read_end, descriptor, count, offset_dst=offset)
        offset += done
        count -= done


def _pages(size: int) -> memoryview:
    """Return a buffer that begins with a page, as writes past the page cache want it."""
    return memoryview(mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
