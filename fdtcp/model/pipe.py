"""How orders and messages stand on the two pipes between a daemon and its mover.

Decides the lines: one JSON object each, `{"<kind>": {...}}`, so that a person can read them.  Only the columns of files
(`fdtcp.model.columns`), which are nearly all that is said, stand behind their line as they are: in JSON they took half
of what a daemon did for a small file.

    {"describe":{"seq":1,"files":[{"column":16},{"column":6}]}} TAB 22 LF  16 bytes, 6 bytes

Each column is where its length stands in the JSON; the number behind the tab is how long they are together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from fdtcp.errors import ProtocolViolation
from fdtcp.model.codec import decode_message, encode_message
from fdtcp.model.order import MESSAGES, ORDERS, Message, Order

# A chunk of 1,000 files with PATH_MAX names and kept extents fits; anything longer is not from us.
MAX_LINE_BYTES: Final = 16 << 20

_COLUMN: Final = "column"
# So many digits, and no more, say how long the columns are.
_MOST_DIGITS: Final = 8


def encode_line(item: Order | Message) -> bytes:
    """Return `item` as one line of ASCII, with its line feed and its columns."""
    columns: list[bytes] = []

    def put_behind(column: bytes) -> dict[str, int]:
        columns.append(column)
        return {_COLUMN: len(column)}

    plain = {type(item).__name__.lower(): encode_message(item, binary=False)}
    text = json.dumps(plain, separators=(",", ":"), default=put_behind).encode("ascii")
    if not columns:
        return text + b"\n"
    return b"".join((text, b"\t%d\n" % sum(map(len, columns)), *columns))


def decode_order_line(line: bytes) -> Order:
    """Read one line from a daemon, with its columns.  Raises ProtocolViolation."""
    cls, plain = _split(line, ORDERS)
    order: Order = decode_message(cls, plain, binary=False)
    return order


def decode_message_line(line: bytes) -> Message:
    """Read one line from a mover, with its columns.  Raises ProtocolViolation."""
    cls, plain = _split(line, MESSAGES)
    message: Message = decode_message(cls, plain, binary=False)
    return message


class Lines:
    """What comes through a pipe: bytes in, whole lines with their columns out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0  # so far there is no line feed in it
        self._wanted = 0  # how long the first line is, once its end has come

    def feed(self, data: bytes) -> None:
        """Take bytes in."""
        self._buffer += data

    def take(self) -> bytes | None:
        """Return the next whole line; None while there is none.  Raises ProtocolViolation for one that is too long."""
        buffer = self._buffer
        if not self._wanted:
            end = buffer.find(b"\n", self._searched)
            self._searched = len(buffer)
            if end < 0:
                _check_length(len(buffer))
                return None
            self._wanted = end + 1 + _length_behind(bytes(buffer[max(0, end - _MOST_DIGITS - 1) : end]))
            _check_length(self._wanted)
        if len(buffer) < self._wanted:
            return None
        line = bytes(memoryview(buffer)[: self._wanted])
        del buffer[: self._wanted]
        self._searched = self._wanted = 0
        return line


def _length_behind(end: bytes) -> int:
    """Return how many bytes of columns stand behind a line that ends like that."""
    _, tab, digits = end.rpartition(b"\t")
    return int(digits) if tab and digits.isdigit() else 0


def _check_length(length: int) -> None:
    if length > MAX_LINE_BYTES:
        raise ProtocolViolation(f"a line of more than {MAX_LINE_BYTES} bytes")


def _split(line: bytes, kinds: Mapping[str, type]) -> tuple[type, object]:
    _check_length(len(line))
    head, _, behind = line.partition(b"\n")
    columns = _Columns(behind)
    try:
        whole = json.loads(head.partition(b"\t")[0], object_hook=columns.put_back)
    except (ValueError, RecursionError) as exc:
        raise ProtocolViolation(f"not a line of JSON: {exc}") from exc
    if columns.left:
        raise ProtocolViolation(f"{columns.left} bytes behind the columns of a line")
    if not isinstance(whole, dict) or len(whole) != 1:
        raise ProtocolViolation("a line must be a map with one key, its kind")
    ((kind, plain),) = whole.items()
    if kind not in kinds:
        raise ProtocolViolation(f"unknown kind {kind!r}")
    return kinds[kind], plain


class _Columns:
    """The columns behind a line."""

    def __init__(self, behind: bytes) -> None:
        self._behind = behind
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes have not been put back."""
        return len(self._behind) - self._at

    def put_back(self, plain: dict[str, object]) -> object:
        """Return the column in whose place a map stands, and any other map as it is.  Raises ValueError."""
        if plain.keys() != {_COLUMN}:
            return plain
        length = plain[_COLUMN]
        if type(length) is not int or not 0 <= length <= self.left:
            raise ValueError("a column that is not there")
        self._at += length
        return self._behind[self._at - length : self._at]
