r"""Which parts of a partial are safe: the format of its journal.

Decides what a journal looks like and when it may be believed.  It is tied to the source (its name, size and time), to
the kind of checksum and to the partial's own inode; what does not match describes something else, and the file starts
from zero.  Records are only appended after the bytes that they vouch for were synced, each with a checksum of its own:
what a crash or a full disk has torn is passed over, and what a later attempt appended behind it counts.

Pure; reading, appending and syncing are the back end's.

    fdt-journal 1 CRC JSON\n                     one line; CRC: crc32 of JSON in hex
    offset(8) length(8) value(4) crc32(4)       any number of times, big endian

A record of no length takes back all records before it: parts of what they vouch for are about to be written over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from struct import Struct
from typing import Final
from zlib import crc32

from fdtcp.model.order import Checksum, DestinationFile, Extent
from fdtcp.value import dataclass
from fdtd.mover.sums import Sum

_MAGIC: Final = b"fdt-journal 1 "
_RECORD: Final = Struct(">QQII")
_COVERED: Final = _RECORD.size - 4

# What one append can leave behind is less than this; what is longer was never a journal.
_MAX_TORN_BYTES: Final = 64 << 10

# Neighbouring blocks are reported as one: 1 TiB is 4,096 extents, a verdict of 200 kB instead of 13 MB.
_MERGED_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Identity:
    """What a partial is a part of, and which inode it is."""

    source: bytes
    size: int
    mtime_ns: int
    checksum: Checksum
    inode: int

    @classmethod
    def of(cls, file: DestinationFile, checksum: Checksum, inode: int) -> Identity:
        """Return the identity for an expected file."""
        return cls(file.source, file.size, file.mtime_ns, checksum, inode)


def encode_start(identity: Identity) -> bytes:
    """Return the first line of a journal."""
    plain = {
        "source": identity.source.decode("latin-1"),
        "size": identity.size,
        "mtime_ns": identity.mtime_ns,
        "checksum": identity.checksum.value,
        "inode": identity.inode,
    }
    text = json.dumps(plain).encode("ascii")
    return _MAGIC + b"%08x " % crc32(text) + text + b"\n"


def encode_records(extents: Iterable[Extent]) -> bytes:
    """Return records for bytes that are safe."""
    records = []
    for extent in extents:
        head = _RECORD.pack(extent.offset, extent.length, extent.checksum, 0)[:_COVERED]
        records.append(head + crc32(head).to_bytes(4, "big"))
    return b"".join(records)


def encode_anew(extents: Iterable[Extent]) -> bytes:
    """Return records that take back all before them, and say what still holds."""
    return encode_records([Extent(0, 0, 0), *extents])


def decode_journal(data: bytes, identity: Identity | None) -> list[Extent]:
    """Return the extents of a journal that belongs to `identity` (None: to whatever it says); else nothing."""
    line, newline, records = data.partition(b"\n")
    if not newline or not line.startswith(_MAGIC):
        return []
    text = line[len(_MAGIC) + 9 :]
    if line[len(_MAGIC) : len(_MAGIC) + 9] != b"%08x " % crc32(text):
        return []
    if identity is not None and encode_start(identity) != line + newline:
        return []
    extents: dict[int, Extent] = {}
    start = torn = 0
    while start + _RECORD.size <= len(records) and torn <= _MAX_TORN_BYTES:
        record = records[start : start + _RECORD.size]
        offset, length, value, check = _RECORD.unpack(record)
        if crc32(record[:_COVERED]) != check:
            start, torn = start + 1, torn + 1
            continue
        start += _RECORD.size
        if length == 0:
            extents.clear()
        extents[offset] = Extent(offset, length, value)
    return _without_overlaps(extents, identity)


def end_of(extents: Iterable[Extent]) -> int:
    """Return where the last extent ends."""
    return max((extent.offset + extent.length for extent in extents), default=0)


def merge(extents: Iterable[Extent], checksum: Sum) -> tuple[Extent, ...]:
    """Join neighbours, so that a verdict stays short."""
    merged: list[Extent] = []
    for extent in extents:
        last = merged[-1] if merged else None
        if last and last.offset + last.length == extent.offset and last.length + extent.length <= _MERGED_BYTES:
            value = checksum.join(last.checksum, extent.checksum, extent.length)
            merged[-1] = Extent(last.offset, last.length + extent.length, value)
        else:
            merged.append(extent)
    return tuple(merged)


def _without_overlaps(extents: dict[int, Extent], identity: Identity | None) -> list[Extent]:
    kept: list[Extent] = []
    end = 0
    for offset in sorted(extents):
        extent = extents[offset]
        fits = identity is None or offset + extent.length <= identity.size
        if offset >= end and extent.length > 0 and fits:
            kept.append(extent)
            end = offset + extent.length
    return kept
