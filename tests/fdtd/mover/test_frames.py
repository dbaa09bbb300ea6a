"""Every frame survives the wire, nothing else does, and docs/protocol.md shows the truth."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdtcp.errors import Phase, ProtocolViolation, Side, SourceChanged
from fdtcp.model.order import Checksum
from fdtd.mover import frames
from fdtd.mover.frames import (
    HEADER_BYTES,
    MAX_BATCH_BYTES,
    MAX_BATCH_FILES,
    MAX_BLOCK_BYTES,
    OF_BATCH,
    OF_STREAM,
    VOID,
    End,
    Entry,
    Header,
    Hello,
    Kind,
)

U16 = st.integers(0, (1 << 16) - 1)
U32 = st.integers(0, (1 << 32) - 1)
U64 = st.integers(0, (1 << 64) - 1)
I64 = st.integers(-(1 << 63), (1 << 63) - 1)
HEADERS = st.builds(Header, st.sampled_from(Kind), st.integers(0, 255), U16, U32, U64, U64, U32)


@given(HEADERS)
def test_headers_survive(header: Header) -> None:
    data = frames.encode_header(header)
    assert len(data) == HEADER_BYTES
    assert frames.decode_header(data) == header


@given(HEADERS, st.integers(0, HEADER_BYTES * 8 - 1))
def test_a_flipped_bit_in_a_header_is_seen(header: Header, bit: int) -> None:
    data = bytearray(frames.encode_header(header))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProtocolViolation):
        frames.decode_header(data)


@given(st.binary(min_size=HEADER_BYTES, max_size=HEADER_BYTES))
def test_noise_is_no_header(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        frames.decode_header(data)


@given(st.binary(min_size=16, max_size=16), st.sampled_from(Checksum), st.binary(min_size=32, max_size=32), U32)
def test_hellos_survive(job: bytes, checksum: Checksum, nonce: bytes, stream: int) -> None:
    data = frames.encode_hello(stream, Hello(job, checksum, nonce))
    header = frames.decode_header(data[:HEADER_BYTES])
    frames.check_header(header)
    frames.check_payload(header, data[HEADER_BYTES:])
    assert (header.kind, header.file) == (Kind.HELLO, stream)
    assert frames.decode_hello(data[HEADER_BYTES:]) == Hello(job, checksum, nonce)


@given(st.lists(st.tuples(U32, st.binary(max_size=50), U32, I64), max_size=20), U32)
def test_batches_survive(files: list[tuple[int, bytes, int, int]], number: int) -> None:
    entries = [Entry(file, len(content), value, mtime) for file, content, value, mtime in files]
    data = b"".join(frames.encode_batch(number, entries, b"".join(content for _, content, _, _ in files)))
    header = frames.decode_header(data[:HEADER_BYTES])
    frames.check_header(header)
    read, contents = frames.decode_batch(header, memoryview(data)[HEADER_BYTES:])
    assert read == entries
    assert bytes(contents) == b"".join(content for _, content, _, _ in files)


@given(st.binary(max_size=300), st.integers(0, 20))
def test_a_batch_of_noise_is_refused_or_harmless(payload: bytes, files: int) -> None:
    header = Header(Kind.BATCH, 0, files, 0, 0, len(payload), 12345)
    with pytest.raises(ProtocolViolation):
        frames.decode_batch(header, memoryview(payload))


def test_a_batch_whose_files_do_not_fill_it_is_refused() -> None:
    data = b"".join(frames.encode_batch(0, [Entry(1, 3, 0, 0)], b"abcd"))
    with pytest.raises(ProtocolViolation):
        frames.decode_batch(frames.decode_header(data[:HEADER_BYTES]), memoryview(data)[HEADER_BYTES:])


@given(st.builds(End, U64, I64, I64, U32), U32)
def test_ends_survive(end: End, file: int) -> None:
    data = frames.encode_end(file, end)
    header = frames.decode_header(data[:HEADER_BYTES])
    frames.check_header(header)
    assert header.file == file and frames.decode_end(data[HEADER_BYTES:]) == end


def test_aborts_survive() -> None:
    problem = SourceChanged("it shrank; ünïcode \N{SNOWMAN}" * 9).problem(Side.SOURCE, Phase.TRANSFER)
    data = frames.encode_abort(7, problem)
    header = frames.decode_header(data[:HEADER_BYTES])
    frames.check_header(header)
    assert frames.decode_abort(data[HEADER_BYTES:]) == problem


@given(st.binary(max_size=100))
def test_an_abort_of_noise_is_a_violation(payload: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        frames.decode_abort(payload)


@pytest.mark.parametrize(
    "header",
    [
        Header(Kind.BLOCK, length=0),
        Header(Kind.BLOCK, length=MAX_BLOCK_BYTES + 1),
        Header(Kind.SUM, length=1 << 63),
        Header(Kind.BATCH, files=MAX_BATCH_FILES + 1),
        Header(Kind.BATCH, files=1, length=MAX_BATCH_BYTES + 1),
        Header(Kind.FILE_ABORT, length=1 << 30),
        Header(Kind.FILE_END, length=1),
        Header(Kind.HELLO, length=0),
        Header(Kind.BYE, length=1),
    ],
)
def test_impossible_lengths_are_refused_before_anything_is_read(header: Header) -> None:
    with pytest.raises(ProtocolViolation):
        frames.check_header(header)


def test_a_trailer_says_whether_its_block_is_void() -> None:
    assert frames.decode_trailer(frames.encode_trailer(5)) == (5, False)
    assert frames.decode_trailer(frames.encode_trailer(5, VOID)) == (5, True)
    with pytest.raises(ProtocolViolation):
        frames.decode_trailer(b"\0\0\0\2\0\0\0\0")


# What docs/protocol.md shows, by the name under which it shows it.
_PROBLEM = SourceChanged("it shrank", remedy="").problem(Side.SOURCE, Phase.TRANSFER)
EXAMPLES = {
    "HELLO": frames.encode_hello(1, Hello(bytes(range(16)), Checksum.ADLER32, bytes(32))),
    "CHALLENGE": frames.encode_challenge(bytes([0xAA] * 32)),
    "AUTH": frames.encode_auth(bytes([0xBB] * 32)),
    "BLOCK": frames.encode_block(2, 4 << 20, 3) + b"abc" + frames.encode_trailer(0x024D0127),
    "SUM": frames.encode_sum(2, 0, 4 << 20, 0x00400001),
    "BATCH": b"".join(frames.encode_batch(0, [Entry(3, 2, 0x00C70089, 10**18), Entry(4, 0, 1, 10**18)], b"\x44\x44")),
    "FILE_END": frames.encode_end(2, End(5 << 20, 10**18, 10**18 + 1, 0x0A1B2C3D)),
    "FILE_ABORT": frames.encode_abort(2, _PROBLEM),
    "ACK": frames.encode_header(Header(Kind.ACK, file=2, offset=4 << 20, length=3)),
    "ACK of a batch": frames.encode_header(Header(Kind.ACK, OF_BATCH, file=0)),
    "NAK": frames.encode_header(Header(Kind.NAK, file=2, offset=4 << 20, length=3)),
    "NAK of one file of a batch": frames.encode_header(Header(Kind.NAK, OF_BATCH, file=3, length=2)),
    "FILE_DONE": frames.encode_header(Header(Kind.FILE_DONE, file=2)),
    "BYE": frames.encode_header(Header(Kind.BYE)),
    "BYE of one stream": frames.encode_header(Header(Kind.BYE, OF_STREAM)),
    "STREAMS": frames.encode_header(Header(Kind.STREAMS, file=32)),
}


def written_examples() -> dict[str, bytes]:
    text = (Path(__file__).parents[3] / "docs/protocol.md").read_text()
    found = re.findall(r"^Example: (.+)\n\n((?:    [0-9a-f ]+\n)+)", text, re.MULTILINE)
    return {name: bytes.fromhex("".join(lines.split())) for name, lines in found}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_protocol_document_shows_what_we_send(name: str) -> None:
    assert written_examples().get(name, b"").hex() == EXAMPLES[name].hex()


def test_the_protocol_document_shows_every_kind_of_frame() -> None:
    assert {frames.decode_header(data[:HEADER_BYTES]).kind for data in written_examples().values()} == set(Kind)
