"""What a journal vouches for, and when it is not believed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fdtcp.model.order import Checksum, Extent
from fdtd.mover.journal import Identity, decode_journal, encode_anew, encode_records, encode_start, merge
from fdtd.mover.sums import sum_of
from fdtd.storage.names import journal_name, partial_name

IDENTITY = Identity(b"fdt://h:1/\xff name\n", 1 << 30, 123456789, Checksum.ADLER32, 42)
EXTENTS = [Extent(0, 100, 1), Extent(100, 50, 2), Extent(1000, 10, 3)]


def test_what_is_written_is_read() -> None:
    data = encode_start(IDENTITY) + encode_records(EXTENTS[:1]) + encode_records(EXTENTS[1:])
    assert decode_journal(data, IDENTITY) == EXTENTS
    assert decode_journal(data, None) == EXTENTS


def test_another_identity_starts_over() -> None:
    data = encode_start(IDENTITY) + encode_records(EXTENTS)
    for other in (
        replace(IDENTITY, source=b"fdt://other/"),
        replace(IDENTITY, size=5),
        replace(IDENTITY, mtime_ns=0),
        replace(IDENTITY, checksum=Checksum.CRC32),
        replace(IDENTITY, inode=43),
    ):
        assert decode_journal(data, other) == []


@given(st.integers(0, 200))
def test_a_torn_tail_is_ignored(cut: int) -> None:
    data = encode_start(IDENTITY) + encode_records(EXTENTS)
    kept = decode_journal(data[: max(0, len(data) - cut)], IDENTITY)
    assert kept == EXTENTS[: len(kept)]
    assert len(kept) <= max(0, 3 - -(-cut // 24))


@given(st.binary(max_size=60))
def test_what_was_appended_behind_a_torn_tail_counts(torn: bytes) -> None:
    data = encode_start(IDENTITY) + encode_records(EXTENTS[:1]) + torn + encode_records(EXTENTS[1:])
    assert decode_journal(data, IDENTITY) == EXTENTS


def test_a_journal_that_begins_anew_vouches_for_nothing_before() -> None:
    data = encode_start(IDENTITY) + encode_records(EXTENTS) + encode_anew(EXTENTS[1:])
    assert decode_journal(data, IDENTITY) == EXTENTS[1:]
    assert decode_journal(data + encode_anew([]), None) == []


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_flipped_bit_loses_records_and_invents_none(at: int, bit: int) -> None:
    data = bytearray(encode_start(IDENTITY) + encode_records(EXTENTS))
    data[at % len(data)] ^= 1 << bit
    assert set(decode_journal(bytes(data), IDENTITY)) <= set(EXTENTS)


@given(st.binary(max_size=500))
def test_noise_vouches_for_nothing(data: bytes) -> None:
    assert decode_journal(data, IDENTITY) == []


def test_later_records_win_and_overlaps_are_dropped() -> None:
    data = encode_start(IDENTITY) + encode_records([Extent(0, 100, 1), Extent(50, 100, 2), Extent(0, 100, 9)])
    assert decode_journal(data, IDENTITY) == [Extent(0, 100, 9)]


def test_records_beyond_the_end_are_dropped() -> None:
    data = encode_start(IDENTITY) + encode_records([Extent((1 << 30) - 5, 6, 1)])
    assert decode_journal(data, IDENTITY) == []


def test_neighbours_are_merged() -> None:
    adler = sum_of(Checksum.ADLER32)
    parts = [b"abc", b"defg", b"x"]
    values = [adler.update(part, 1) for part in parts]
    merged = merge([Extent(0, 3, values[0]), Extent(3, 4, values[1]), Extent(9, 1, values[2])], adler)
    assert merged == (Extent(0, 7, adler.update(b"abcdefg", 1)), Extent(9, 1, values[2]))


def test_the_protocol_document_shows_what_we_write() -> None:
    text = (Path(__file__).parents[3] / "docs/protocol.md").read_text()
    assert all(f"`{name.decode()}`" in text for name in (partial_name(b"file"), journal_name(b"file")))
    shown = bytes.fromhex(
        "".join(re.findall(r"^    ([0-9a-f ]+)$", text.rpartition("noted the last MiB")[2], re.MULTILINE))
    )
    identity = Identity(b"fdt://h:8444/\xff", 5 << 20, 10**18, Checksum.ADLER32, 42)
    last = Extent(4 << 20, 1 << 20, 0x0A1B2C3D)
    assert shown == encode_start(identity) + encode_records([Extent(0, 4 << 20, 0x00400001)]) + encode_anew([last])
    assert decode_journal(shown, identity) == [last]
