"""The byte layout of the data protocol (docs/protocol.md).

Decides what a frame looks like and which lengths are possible at all; which frame is allowed when is decided by
`sender`, `receiver` and `handshake`.  Everything here comes from or goes to a peer: each decode function raises
ProtocolViolation for what no peer of ours sends.

Every frame starts with a header of one size, so a receiver reads exactly that much and hands the socket to whatever
moves the payload (recv_into, splice) without having read ahead.  The header carries a checksum of its own: a flipped
bit in a header costs the stream, one in the payload only the block.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from fdtcp.errors import Problem, ProtocolViolation
from fdtcp.model.order import Checksum

MAGIC: Final = b"FDTDATA\n"
VERSION: Final = 1

# kind, flags, files, file, offset, length, value, crc32 of the 28 bytes before
_HEADER: Final = Struct(">BBHIQQII")
HEADER_BYTES: Final = _HEADER.size
_COVERED: Final = HEADER_BYTES - 4

NONCE_BYTES: Final = 32
PROOF_BYTES: Final = 32

# Blocks are cut by the reader; a kept extent may be several blocks long.
MAX_BLOCK_BYTES: Final = 1 << 30

# One batch is read into one buffer.  ~1 MiB is where the cost of the frame is lost among that of its files.
BATCH_BYTES: Final = 1 << 20
MAX_BATCH_BYTES: Final = 4 << 20
MAX_BATCH_FILES: Final = 4096

# Files up to this size travel whole, in batches, and are never continued: what a block of its own, a name before the
# commit and a FILE_END cost is a quarter of such a file's time.  None may be larger than a batch.
SMALL_FILE_BYTES: Final = 1 << 20

# Up to this size a small file is *short*: what it takes is mostly the time of calls, for which threads wait for each
# other; above it is that of its bytes, which threads move side by side (docs/performance.md, "What is small").
SHORT_FILE_BYTES: Final = 64 << 10

# A Problem has at most two texts of MAX_REASON_CHARS characters, 4 bytes each, escaped, and a few words.
MAX_REASON_BYTES: Final = 16 << 10

# In a trailer: the block is void, because the source could not be read to its end.
VOID: Final = 1

# In ACK: `file` is the number of a batch.  In NAK: of one file of the batch that is answered next.
OF_BATCH: Final = 1

# In BYE: it is for this stream only; another one takes its place.
OF_STREAM: Final = 1

_TRAILER: Final = Struct(">II")
TRAILER_BYTES: Final = _TRAILER.size
_HELLO: Final = Struct(f">8sHH16s{NONCE_BYTES}s")
HELLO_BYTES: Final = _HELLO.size
_ENTRY: Final = Struct(">IIQq")
ENTRY_BYTES: Final = _ENTRY.size
_END: Final = Struct(">QqqII")
END_BYTES: Final = _END.size

_CHECKSUM_NUMBERS: Final = {Checksum.NONE: 0, Checksum.ADLER32: 1, Checksum.CRC32: 2}


class Kind(IntEnum):
    """What a frame is.  C: from the connecting side (the reader), L: from the listening side (the writer)."""

    HELLO = 1  # C: who I am
    CHALLENGE = 2  # L: a nonce
    AUTH = 3  # both: a proof of knowing the secret
    BLOCK = 4  # C: a part of a file, payload and trailer follow
    SUM = 5  # C: the checksum of a part that is there already, trailer follows
    BATCH = 6  # C: many small files
    FILE_END = 7  # C: all of the file has been sent
    FILE_ABORT = 8  # C: the source failed
    ACK = 9  # L: the oldest unanswered frame was handled
    NAK = 10  # L: its bytes must be sent again
    FILE_DONE = 11  # L: send no more of this file
    BYE = 12  # both: nothing follows
    STREAMS = 13  # from the reader: how many there should be, for a writer that opens them


class Header(NamedTuple):
    """The fixed part of a frame; what a field means depends on the kind, unused ones are zero."""

    kind: Kind
    flags: int = 0
    files: int = 0
    file: int = 0
    offset: int = 0
    length: int = 0
    value: int = 0


class Hello(NamedTuple):
    """Who connects: the job, how it sums, and a fresh nonce."""

    job: bytes  # 16 bytes
    checksum: Checksum
    nonce: bytes


class Entry(NamedTuple):
    """One file of a batch; its content follows the table, in the table's order."""

    file: int
    size: int
    checksum: int
    mtime_ns: int  # looked up after the content was read


class End(NamedTuple):
    """What a file was after its last byte had been read, and its whole checksum."""

    size: int
    mtime_ns: int
    ctime_ns: int
    checksum: int


_KINDS: Final = {int(kind): kind for kind in Kind}


def encode_header(header: Header) -> bytes:
    """Return the 32 bytes of a header."""
    head = _HEADER.pack(*header, 0)[:_COVERED]
    return head + crc32(head).to_bytes(4, "big")


def decode_header(data: bytes | bytearray | memoryview) -> Header:
    """Read 32 bytes.  Raises ProtocolViolation."""
    number, flags, count, index, offset, length, value, check = _HEADER.unpack(data)
    if crc32(memoryview(data)[:_COVERED]) != check:
        raise ProtocolViolation("a frame header with a wrong checksum")
    kind = _KINDS.get(number)
    if kind is None:
        raise ProtocolViolation(f"an unknown frame kind {number}")
    return Header(kind, flags, count, index, offset, length, value)


def _with_payload(kind: Kind, payload: bytes, *, file: int = 0) -> bytes:
    return encode_header(Header(kind, 0, 0, file, 0, len(payload), crc32(payload))) + payload


def check_payload(header: Header, payload: bytes | memoryview) -> None:
    """Compare a control frame's payload with the header's `value`.  Raises ProtocolViolation."""
    if crc32(payload) != header.value:
        raise ProtocolViolation(f"a {header.kind.name} frame with a wrong checksum")


def payload_limits(kind: Kind) -> tuple[int, int]:
    """Return the least and the most payload bytes of a control frame."""
    return _PAYLOADS.get(kind, (0, 0))


_PAYLOADS: Final = {
    Kind.HELLO: (HELLO_BYTES, HELLO_BYTES),
    Kind.CHALLENGE: (NONCE_BYTES, NONCE_BYTES),
    Kind.AUTH: (PROOF_BYTES, PROOF_BYTES),
    Kind.FILE_END: (END_BYTES, END_BYTES),
    Kind.FILE_ABORT: (2, MAX_REASON_BYTES),
}


def encode_hello(stream: int, hello: Hello) -> bytes:
    """Return a HELLO for the stream of that number."""
    number = _CHECKSUM_NUMBERS[hello.checksum]
    return _with_payload(Kind.HELLO, _HELLO.pack(MAGIC, VERSION, number, hello.job, hello.nonce), file=stream)


def decode_hello(payload: bytes) -> Hello:
    """Read the payload of a HELLO.  Raises ProtocolViolation."""
    magic, version, number, job, nonce = _HELLO.unpack(payload)
    if magic != MAGIC or version != VERSION:
        raise ProtocolViolation(f"not version {VERSION} of the data protocol")
    for checksum, known in _CHECKSUM_NUMBERS.items():
        if known == number:
            return Hello(job, checksum, nonce)
    raise ProtocolViolation(f"an unknown checksum number {number}")


def encode_challenge(nonce: bytes) -> bytes:
    """Return a CHALLENGE."""
    return _with_payload(Kind.CHALLENGE, nonce)


def encode_auth(proof: bytes) -> bytes:
    """Return an AUTH."""
    return _with_payload(Kind.AUTH, proof)


def encode_block(file: int, offset: int, length: int) -> bytes:
    """Return the header of a BLOCK; payload and trailer are sent behind it."""
    return encode_header(Header(Kind.BLOCK, 0, 0, file, offset, length))


def encode_sum(file: int, offset: int, length: int, checksum: int, flags: int = 0) -> bytes:
    """Return a SUM: a block without its payload."""
    return encode_header(Header(Kind.SUM, 0, 0, file, offset, length)) + encode_trailer(checksum, flags)


def encode_trailer(checksum: int, flags: int = 0) -> bytes:
    """Return what follows a payload: the checksum, and whether the block is void."""
    return _TRAILER.pack(flags, checksum)


def decode_trailer(data: bytes | memoryview) -> tuple[int, bool]:
    """Return checksum and whether the block is void.  Raises ProtocolViolation."""
    flags, checksum = _TRAILER.unpack(data)
    if flags not in (0, VOID):
        raise ProtocolViolation(f"a trailer with unknown flags {flags:#x}")
    return checksum, flags == VOID


def encode_batch(number: int, entries: Sequence[Entry], content: bytes | memoryview) -> list[bytes | memoryview]:
    """Return a BATCH as buffers for one gathering send."""
    table = b"".join([_ENTRY.pack(*entry) for entry in entries])
    head = Header(Kind.BATCH, 0, len(entries), number, 0, len(table) + len(content), crc32(table))
    return [encode_header(head), table, content]


def decode_batch(header: Header, payload: memoryview) -> tuple[list[Entry], memoryview]:
    """Return the files of a batch, and their contents (a view into `payload`), one behind the other.

    Raises ProtocolViolation.
    """
    start = header.files * ENTRY_BYTES
    if start > len(payload):
        raise ProtocolViolation("a batch that is shorter than its table")
    table = payload[:start]
    check_payload(header, table)
    entries = [*map(Entry._make, _ENTRY.iter_unpack(table))]
    expected, found = start + sum([entry[1] for entry in entries]), len(payload)
    if expected != found:
        raise ProtocolViolation(f"a batch that is {'shorter' if expected > found else 'longer'} than its files")
    return entries, payload[start:]


def encode_end(file: int, end: End) -> bytes:
    """Return a FILE_END."""
    return _with_payload(Kind.FILE_END, _END.pack(*end, 0), file=file)


def decode_end(payload: bytes) -> End:
    """Read the payload of a FILE_END."""
    size, mtime_ns, ctime_ns, checksum, _ = _END.unpack(payload)
    return End(size, mtime_ns, ctime_ns, checksum)


def encode_abort(file: int, problem: Problem) -> bytes:
    """Return a FILE_ABORT."""
    return _with_payload(Kind.FILE_ABORT, json.dumps(problem.encode()).encode("ascii"), file=file)


def decode_abort(payload: bytes) -> Problem:
    """Read the payload of a FILE_ABORT.  Raises ProtocolViolation."""
    try:
        return Problem.decode(json.loads(payload))
    except (ValueError, RecursionError) as exc:
        raise ProtocolViolation(f"a FILE_ABORT that is not JSON: {exc}") from exc


def check_header(header: Header) -> None:
    """Refuse lengths that no frame of this kind has, before anything is read or allocated for it."""
    kind = header.kind
    if kind in (Kind.BLOCK, Kind.SUM):
        if not 0 < header.length <= MAX_BLOCK_BYTES:
            raise ProtocolViolation(f"a {kind.name} of {header.length} bytes")
    elif kind is Kind.BATCH:
        if header.files > MAX_BATCH_FILES or header.length > MAX_BATCH_BYTES:
            raise ProtocolViolation(f"a BATCH of {header.files} files and {header.length} bytes")
    elif kind not in (Kind.ACK, Kind.NAK):
        least, most = payload_limits(kind)
        if not least <= header.length <= most:
            raise ProtocolViolation(f"a {kind.name} of {header.length} bytes")
