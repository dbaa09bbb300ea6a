"""The reading side of one stream: work from the outbox onto the socket, answers back.

Decides how bytes get from the file to the socket: by sendfile, which never copies them into this process; the checksum
is taken from a second look at the same pages, piece by piece, while the kernel sends.  What has to be encrypted is
read, summed and sent piece by piece.  Runs in a thread of its own.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Sequence
from typing import Final

from fdtcp.errors import FdtError, ProtocolViolation, SourceChanged, SourceHangs
from fdtcp.model.order import Checksum, StreamProgress
from fdtd.mover.asking import Asking
from fdtd.mover.frames import (
    BATCH_BYTES,
    HEADER_BYTES,
    OF_STREAM,
    VOID,
    Header,
    Kind,
    check_header,
    decode_header,
    encode_abort,
    encode_batch,
    encode_block,
    encode_end,
    encode_header,
    encode_sum,
    encode_trailer,
)
from fdtd.mover.gathering import gather
from fdtd.mover.log import Log
from fdtd.mover.outbox import Outbox
from fdtd.mover.rate import RateLimit
from fdtd.mover.sender import Answered, StreamSender
from fdtd.mover.streams import (
    Ending,
    StreamBroken,
    Wire,
    cipher_of,
    hang_up,
    has_buffered,
    is_plain,
    is_spent,
    name_of,
    send_all,
    send_file,
    send_gathered,
)
from fdtd.mover.sums import PIECE_BYTES, Sum
from fdtd.mover.work import BatchWork, BlockWork, EndWork, Work
from fdtd.storage.base import Source

# One sendfile: large enough to be few calls, small enough that its pages are still in the cache for the checksum.
_SEND_BYTES: Final = 1 << 20

# Wakers are the rule; this is for what nobody thought of.
_POLL_S: Final = 0.25

_ZEROS: Final = bytes(64 << 10)


class SendingStream:
    """One authenticated stream of a reader."""

    def __init__(self, stream: Wire, number: int, outbox: Outbox, rate: RateLimit, stall_s: float, log: Log) -> None:
        """`stall_s`: a stream without an answer for so many seconds is dead."""
        self.number = number
        self.moved = 0
        self.has_carried = False  # whether anything was answered for
        self.alive = True
        self._stream = stream
        self._stall_s = stall_s
        self._outbox = outbox
        self._rate = rate
        self._log = log
        self._machine = StreamSender()
        self._answers = bytearray()
        self._names = (name_of(stream.getsockname()), name_of(stream.getpeername()))
        self._cipher = cipher_of(stream)
        self._buffer = memoryview(bytearray(PIECE_BYTES))
        self._batch = memoryview(bytearray(BATCH_BYTES))
        self._heard = time.monotonic()
        self._asking = Asking()
        self._wanted = 0  # streams, as we have told the writer
        self._full_at = 0.0  # when the network was last seen to take nothing more

    def run(self) -> Ending:
        """Send until nothing is left, or the stream breaks or has to give way to a fresh one."""
        waker = self._outbox.join(self.number)
        self._log.event(
            "stream-open",
            stream=self.number,
            local=self._names[0],
            remote=self._names[1],
            cipher=self._cipher or "none",
        )
        ending = Ending.BARREN
        try:
            ending = self._work(waker, self._stall_s)
            self._log.event("stream-end", stream=self.number, moved=self.moved, how=ending.value)
        except (StreamBroken, ProtocolViolation) as exc:
            if self._asking.stop():
                self._hear_last_words()
                ending = Ending.BROKEN if self.has_carried else Ending.BARREN
                ending = Ending.DONE if self._outbox.is_finished else ending
            self._log.trouble("stream-end", stream=self.number, moved=self.moved, reason=exc.reason)
        finally:
            self.alive = False
            self._stream.close()
            self._buffer = self._batch = memoryview(b"")  # it is remembered for what it has carried
            if self._asking.stop():
                self._outbox.leave(self.number, self._machine.unanswered)
        return ending

    def end(self) -> None:
        """Make the thread go away; may be called from any thread."""
        hang_up(self._stream)

    def progress(self) -> StreamProgress:
        """Return what this stream has carried."""
        return StreamProgress(self.number, *self._names, self.moved, self.alive, self._cipher)

    def give_up_if_hung(self, patience_s: float) -> bool:
        """Cut the stream, and fail its file alone, if the source has given nothing for `patience_s`.

        To be asked often, from another thread.  Time in which the network took nothing does not count.  Our own thread
        stays where it hangs; the cut sees to it that nothing of its block can arrive later.
        """
        now = time.monotonic()
        poll = select.poll()
        try:
            poll.register(self._stream, select.POLLOUT)
        except ValueError:
            return False  # its thread has closed it by now
        if not poll.poll(0):
            self._full_at = now
        if now - self._full_at < patience_s or (file := self._asking.give_up(now - patience_s)) is None:
            return False
        hang_up(self._stream)
        self.alive = False
        path = os.fsdecode(self._outbox.path(file))
        # First the file, or it would travel again with what was not answered for.
        self._outbox.failed(
            file, SourceHangs(f"reading {path}: its file system has not answered for {patience_s:.0f} s")
        )
        self._outbox.leave(self.number, self._machine.unanswered)
        return True

    # --- the loop -----------------------------------------------------------------------------------------------

    def _work(self, waker: int, stall_s: float) -> Ending:
        poll = select.poll()
        poll.register(self._stream, select.POLLIN)
        poll.register(waker, select.POLLIN)
        while True:
            self._hear()
            self._close_unused()
            self._ask_for_streams()
            gives_way = is_spent(self._stream)
            work = self._outbox.next(self.number) if self._machine.has_room and not gives_way else None
            if work is not None:
                self._do(work)
                continue
            if self._outbox.is_dismissed or (self._outbox.is_finished and self._machine.is_idle):
                return self._leave(Ending.DONE)
            if gives_way and self._machine.is_idle:
                return self._leave(Ending.SPENT)
            if not self._machine.is_idle and time.monotonic() - self._heard > stall_s:
                self._outbox.note_unanswered(self._machine.unanswered[0], stall_s)
                raise StreamBroken(f"no answer for {stall_s:.0f} s")
            for descriptor, _ in poll.poll(_POLL_S * 1000):
                if descriptor == waker:
                    os.eventfd_read(waker)

    def _leave(self, ending: Ending) -> Ending:
        self._machine.leave()
        send_all(self._stream, encode_header(Header(Kind.BYE, OF_STREAM if ending is Ending.SPENT else 0)))
        return ending

    def _ask_for_streams(self) -> None:
        """Tell a writer that opens the streams how many there should be; every stream does, for any may break."""
        if (wanted := self._outbox.streams_wanted) != self._wanted:
            self._wanted = wanted
            send_all(self._stream, encode_header(Header(Kind.STREAMS, file=wanted)))

    def _close_unused(self) -> None:
        """Close sources that nobody needs any more; one that hangs in this costs the stream, and no file."""
        for file, source in self._outbox.unused():
            self._asking.ask(file)
            source.close()
            self._asking.answered()

    def _hear(self) -> None:
        """Take the answers that have arrived."""
        while True:
            try:
                data = self._stream.recv(4096, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as exc:
                raise StreamBroken(f"receiving: {exc.strerror}") from exc
            if not data:
                raise StreamBroken("the stream ended")
            since, self._heard = self._heard, time.monotonic()
            self._answers += data
            if files := self._take_answers():
                self._outbox.note_silence(files, self._heard - since)
            # Of an encrypted stream one record comes at a time, and poll does not know of those that are here already.
            if len(data) < 4096 and not has_buffered(self._stream):
                return

    def _take_answers(self) -> int:
        """Take what has arrived whole; returns how many files of batches it was about."""
        files = 0
        while len(self._answers) >= HEADER_BYTES:
            header = decode_header(self._answers[:HEADER_BYTES])
            del self._answers[:HEADER_BYTES]
            check_header(header)
            event = self._machine.receive(header)
            self._outbox.take(event)
            self.has_carried = True
            if isinstance(event, Answered) and isinstance(event.work, BatchWork):
                files += len(event.work.files)
        return files

    def _hear_last_words(self) -> None:
        """Take the answers that came before the stream broke: what they are about need not travel again."""
        try:
            self._hear()
        except (StreamBroken, ProtocolViolation):
            pass  # that it is broken is known

    def _do(self, work: Work) -> None:
        is_first = self._machine.is_idle
        number = self._machine.dealt(work)
        if isinstance(work, BlockWork):
            self._send_block(work)
        elif isinstance(work, BatchWork):
            self._send_batch(work, number)
        elif isinstance(work, EndWork):
            self._send_end(work)
        else:
            send_all(self._stream, encode_abort(work.file, work.problem))
            self._outbox.sent(work)
        if is_first:
            # Silence counts from the end of the first frame that wants an answer: at a low rate a block takes minutes.
            self._heard = time.monotonic()

    # --- blocks -------------------------------------------------------------------------------------------------

    def _send_block(self, work: BlockWork) -> None:
        checksum = self._outbox.comparing if self._outbox.is_compared(work.file) else self._outbox.checksum
        value, error = checksum.start, None
        if work.payload:
            send_all(self._stream, encode_block(work.file, work.offset, work.length), socket.MSG_MORE)
        before = self.moved
        self._asking.ask(work.file)
        try:
            source = self._outbox.open(work.file)
            try:
                value = self._pump(source, work, checksum)
                if work.payload and checksum.kind is Checksum.NONE and source.descriptor >= 0:
                    # Sent again, it may come after the FILE_END, and no sum would tell that it is another content now.
                    self._outbox.check_unchanged(work.file, source.facts())
            finally:
                self._outbox.done_with(work.file)
        except StreamBroken:
            raise
        except FdtError as exc:
            error = exc
        self._asking.answered()
        if work.payload:
            # The header has promised so many bytes: a void block is filled up with zeros.
            self._fill(before + work.length - self.moved)
            send_all(self._stream, encode_trailer(value, VOID if error is not None else 0))
        else:
            flags = VOID if error is not None else 0
            send_all(self._stream, encode_sum(work.file, work.offset, work.length, value, flags))
        self._outbox.sent(work, value)
        if error is not None:
            self._outbox.failed(work.file, error)

    def _pump(self, source: Source, work: BlockWork, checksum: Sum) -> int:
        """Send a block's payload (if it has one) and return its checksum.

        Raises SourceChanged, StreamBroken.
        """
        if work.payload and (source.descriptor < 0 or not is_plain(self._stream)):
            return self._copy(source, work, checksum)
        value = checksum.start
        offset, end = work.offset, work.offset + work.length
        while offset < end:
            count = min(self._rate.piece_of(_SEND_BYTES), end - offset)
            if work.payload:
                self._pace(count, work.file)
                sent = send_file(self._stream, source.descriptor, offset, count)
                self.moved += sent
                if sent < count:
                    raise SourceChanged(f"{os.fsdecode(self._outbox.path(work.file))} became shorter")
            if checksum.kind is not Checksum.NONE:
                self._asking.ask(work.file)
                value = self._sum(source, offset, count, checksum, value)
            offset += count
        if work.payload:
            source.passed(work.offset, work.length)
        return value

    def _copy(self, source: Source, work: BlockWork, checksum: Sum) -> int:
        """Send a block that the kernel cannot send by itself: it is no file to it, or has to be encrypted."""
        value = checksum.start
        offset, end = work.offset, work.offset + work.length
        while offset < end:
            piece = self._buffer[: min(self._rate.piece_of(PIECE_BYTES), end - offset)]
            self._pace(len(piece), work.file)
            if source.read_into(piece, offset) != len(piece):
                raise SourceChanged(f"{os.fsdecode(self._outbox.path(work.file))} became shorter")
            value = checksum.update(piece, value)
            send_all(self._stream, piece, socket.MSG_MORE)
            self.moved += len(piece)
            offset += len(piece)
        return value

    def _sum(self, source: Source, offset: int, length: int, checksum: Sum, value: int) -> int:
        end = offset + length
        while offset < end:
            piece = self._buffer[: min(PIECE_BYTES, end - offset)]
            if source.read_into(piece, offset) != len(piece):
                raise SourceChanged("the source became shorter")
            value = checksum.update(piece, value)
            offset += len(piece)
        return value

    def _pace(self, count: int, file: int) -> None:
        self._asking.answered()
        self._rate.wait(count)
        self._asking.ask(file)

    def _fill(self, count: int) -> None:
        while count > 0:
            send_all(self._stream, _ZEROS[:count])
            count -= len(_ZEROS)

    # --- small files and ends -----------------------------------------------------------------------------------

    def _send_batch(self, work: BatchWork, number: int) -> None:
        entries, used = gather(self._outbox, self._asking, work.files, self._batch)
        self._asking.answered()
        buffers = encode_batch(number, entries, self._batch[:used])
        self._send_paced(buffers)
        self.moved += used
        self._outbox.sent(work)

    def _send_paced(self, buffers: Sequence[bytes | memoryview]) -> None:
        """Send a batch, under a rate limit in pieces: streams in the middle of a block must not wait for all of it."""
        if not self._rate.piece:
            send_gathered(self._stream, buffers)
            return
        for buffer in buffers:
            rest = memoryview(buffer)
            while rest:
                piece = rest[: self._rate.piece_of(len(rest))]
                self._rate.wait(len(piece))
                send_all(self._stream, piece)
                rest = rest[len(piece) :]

    def _send_end(self, work: EndWork) -> None:
        self._asking.ask(work.file)
        try:
            end = self._outbox.end_of(work)
        except FdtError as exc:
            self._asking.answered()
            self._machine.undealt()
            self._outbox.failed(work.file, exc)
            return
        self._asking.answered()
        send_all(self._stream, encode_end(work.file, end))
        self._outbox.sent(work)
