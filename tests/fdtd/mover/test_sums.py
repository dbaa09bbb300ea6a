"""Combined checksums are those of the whole."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdtcp.model.order import Checksum
from fdtd.mover.sums import COMPARING_SUM, join_adler32, join_crc32, sum_of


@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_two_parts_join(first: bytes, second: bytes) -> None:
    whole = first + second
    assert join_adler32(zlib.adler32(first), zlib.adler32(second), len(second)) == zlib.adler32(whole)
    assert join_crc32(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(whole)


@pytest.mark.parametrize("kind", [Checksum.ADLER32, Checksum.CRC32])
@given(parts=st.lists(st.binary(max_size=500), max_size=10))
def test_any_number_of_parts_combine(kind: Checksum, parts: list[bytes]) -> None:
    checksum = sum_of(kind)
    expected = {Checksum.ADLER32: zlib.adler32, Checksum.CRC32: zlib.crc32}[kind](b"".join(parts))
    assert checksum.combine((len(part), checksum.update(part, checksum.start)) for part in parts) == expected


def test_joining_works_for_parts_longer_than_any_buffer() -> None:
    zeros = bytes(65521)
    value, length = zlib.adler32(b""), 0
    for _ in range(3):
        value, length = join_adler32(value, zlib.adler32(zeros), len(zeros)), length + len(zeros)
    assert value == zlib.adler32(bytes(length))
    assert join_crc32(zlib.crc32(b"a"), zlib.crc32(b"b"), 1) != join_crc32(zlib.crc32(b"a"), zlib.crc32(b"b"), 1 << 40)


def test_none_sums_nothing() -> None:
    assert sum_of(Checksum.NONE).update(b"abc", 0) == 0
    assert sum_of(Checksum.NONE).text(5) == ""
    assert sum_of(Checksum.CRC32).text(0xAB) == "crc32:000000ab"


def test_existing_files_are_compared_by_a_sum_that_sees_small_changes() -> None:
    one, other = b"run=131 events", b"run=212 events"
    assert zlib.adler32(one) == zlib.adler32(other)
    assert COMPARING_SUM.update(one, COMPARING_SUM.start) != COMPARING_SUM.update(other, COMPARING_SUM.start)


@pytest.mark.parametrize("kind", list(Checksum))
def test_many_values_are_written_as_one_is(kind: Checksum) -> None:
    checksum = sum_of(kind)
    values = [0, 1, 0xDEADBEEF, 0xFFFFFFFF]
    assert checksum.texts(values) == [checksum.text(value) for value in values]
