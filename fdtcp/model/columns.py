"""Many rows of one kind, kept by columns: what is told of the files of a job.

A job has up to a million files, and each passes through five programs several times.  An object for each of them, made
and thrown away in each program, was a third of what a small file cost.  So a list of rows is kept as one value for each
of its fields: numbers packed, names joined.  Whoever only passes them on touches none of them, whoever wants one field
takes that column, and whoever takes the rows one by one still can: `Columns` is a sequence of them.

Decides how a column looks in memory, which is also how it travels (`fdtcp.model.codec`):

    int, float    8 bytes each, little endian
    Enum          1 byte each: the member's place in its class, so members are only ever appended
    bytes, str    each with a NUL behind it: names of files have none, and texts of ours neither
    other         a map from position to value, of those that have not the default

A column in which all values are the default may be empty.
"""

from __future__ import annotations

import math
import sys
import typing
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from enum import Enum
from functools import lru_cache
from itertools import repeat
from operator import attrgetter
from typing import Any, Final, Generic, NamedTuple, TypeVar, overload

R = TypeVar("R")
Other = TypeVar("Other")

Values = bytes | Mapping[int, Any]  # Any: what a column of other values holds is its field's business

_NUMBER_BYTES: Final = 8
# Longer ones are not remembered by `run_of`; what one call tells of is shorter (`fdtcp.contract.MAX_CHUNK`).
_CHUNK: Final = 1024
_TYPECODES: Final[dict[type, str]] = {int: "q", float: "d"}


_COLUMNS: Final[dict[type, tuple[Column, ...]]] = {}


class Column(NamedTuple):
    """One field of a row."""

    name: str
    type: Any  # Any: int, float, bytes, str, an Enum's class, or `object` for all others
    default: Any  # Any: a field's value; MISSING if it has none
    hint: Any  # Any: the whole type hint, for whoever writes values that are not plain
    members: tuple[Enum, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether it is packed."""
        return self.type is not object

    def pack(self, values: Iterable[Any]) -> Values:  # Any: values of this field
        """Return the column of these values; empty if each of them is the default."""
        if not self.is_plain:
            return {place: value for place, value in enumerate(values) if value != self.default}
        values = values if isinstance(values, list | array | range) else list(values)
        if not values or (values[0] == self.default and all(value == self.default for value in values)):
            return b""
        if self.type in _TYPECODES:
            return _pack(_TYPECODES[self.type], values)
        if self.type in (bytes, str):
            joined = _join_names(values) if self.type is bytes else "\0".join(map(str, values)).encode()
            if joined.count(b"\0") != len(values) - 1:
                raise ValueError(f"a NUL in {self.name}")
            return joined + b"\0"
        return bytes(map(self.members.index, values))

    def fill(self, values: Values, count: int) -> Values:
        """Write defaults out."""
        if values or not self.is_plain or not count:
            return values
        if self.type in _TYPECODES:
            return _pack(_TYPECODES[self.type], [self.default]) * count
        if self.type in (bytes, str):
            return b"\0" * count
        return bytes([self.members.index(self.default)]) * count

    def unpack(self, values: Values, count: int) -> Iterable[Any]:  # Any: values of this field
        """Return the values, one for each row."""
        if not values and self.default is not MISSING:
            return repeat(self.default, count)
        if not isinstance(values, bytes):
            return [values.get(place, self.default) for place in range(count)]
        if self.type in _TYPECODES:
            return _unpack(_TYPECODES[self.type], values)
        if self.type is bytes:
            return values.split(b"\0")[:-1]
        if self.type is str:
            return values.decode().split("\0")[:-1]
        return map(self.members.__getitem__, values)

    def cut(self, values: Values, start: int, stop: int) -> Values:
        """Return the column of some of the rows."""
        if not isinstance(values, bytes):
            return {place - start: value for place, value in values.items() if start <= place < stop}
        if self.type in _TYPECODES:
            return values[start * _NUMBER_BYTES : stop * _NUMBER_BYTES]
        if self.type not in (bytes, str):
            return values[start:stop]
        names = values.split(b"\0")[start:stop] if values else []
        return b"\0".join(names) + b"\0" if names else b""

    def why_not(self, values: bytes, count: int) -> str | None:
        """Return what is wrong with a packed column from elsewhere."""
        if not values and self.default is not MISSING:
            return None
        if self.type in _TYPECODES:
            if len(values) != count * _NUMBER_BYTES:
                return f"{len(values)} bytes for {count} numbers"
            # What is no number is no time either: SQLite makes NULL of it, and JSON has no word for it.
            is_finite = self.type is int or all(map(math.isfinite, _unpack("d", values)))
            return None if is_finite else "a number that is none"
        if self.type in (bytes, str):
            ends_well = values.endswith(b"\0") or not values
            if not ends_well or values.count(b"\0") != count:
                return f"not {count} names, each with a NUL behind it"
            if self.type is str:
                values.decode()
            return None
        is_good = len(values) == count and not values.translate(None, bytes(range(len(self.members))))
        return None if is_good else f"not {count} of its {len(self.members)} codes"


def run_of(numbers: Sequence[int]) -> slice | None:
    """Return numbers that follow each other as a slice; None for others, and for none at all.

    Files are told of in the order of the job, so nearly every chunk is a run: then what is known of its files by their
    numbers is one slice, and not a look-up for each.
    """
    if not numbers:
        return None
    first, stop = numbers[0], numbers[-1] + 1
    if first < 0 or stop - first != len(numbers):
        return None
    # A chunk is asked about several times in turn; what is longer is a whole job, and asked about once.
    counted = _counted(first, stop) if len(numbers) <= _CHUNK else array("q", range(first, stop))
    return slice(first, stop) if numbers == counted else None


@lru_cache(maxsize=32)
def _counted(first: int, stop: int) -> array[int]:
    return array("q", range(first, stop))


def columns_of(kind: type) -> tuple[Column, ...]:
    """Return the columns of a dataclass; its first field is a number that every row has."""
    if (known := _COLUMNS.get(kind)) is not None:
        return known
    hints = typing.get_type_hints(kind)
    columns = tuple(_column(part.name, hints[part.name], _default(part)) for part in fields(kind))
    assert columns[0].type is int, f"{kind.__name__} does not begin with a number"
    assert columns[0].default is MISSING, f"{kind.__name__} does not begin with what every row has"
    _COLUMNS[kind] = columns
    return columns


def _default(part: Any) -> Any:  # Any: a field of a dataclass, and its default
    assert part.default_factory is MISSING, f"a default of {part.name} would be made for each row"
    return part.default


def _column(name: str, hint: Any, default: Any) -> Column:  # Any: see Column
    if hint in (int, float, bytes, str):
        return Column(name, hint, default, hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return Column(name, hint, default, hint, tuple(hint))
    assert default is not MISSING, f"{name} needs a default, which most rows have"
    return Column(name, object, default, hint)


class Rows(Sequence[R], Generic[R]):
    """A sequence that keeps its rows in its own way; equal to any tuple or list of the same rows."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Rows | tuple | list):
            return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # equal to tuples, which hash otherwise

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"


class Columns(Rows[R]):
    """Rows of the dataclass `kind`, by columns.  Never changed once made."""

    __slots__ = ("_count", "_values", "kind")

    def __init__(self, kind: type[R], count: int, values: tuple[Values, ...]) -> None:
        """Take columns as they are; `of` and `build` make them."""
        self.kind = kind
        self._count = count
        self._values = values

    @classmethod
    def of(cls, kind: type[R], rows: Iterable[R]) -> Columns[R]:
        """Return these rows by columns; what is so already is returned as it is."""
        if isinstance(rows, Columns):
            return rows
        rows = list(rows)
        columns = columns_of(kind)
        return cls(kind, len(rows), tuple(column.pack(list(map(attrgetter(column.name), rows))) for column in columns))

    @classmethod
    def build(cls, kind: type[R], count: int, **values: Iterable[Any]) -> Columns[R]:  # Any: values of the fields
        """Make `count` rows of what their fields have; a field that is not named has its default everywhere.

        A field of other values takes a map from position to value.
        """
        return cls(
            kind,
            count,
            tuple(
                given if isinstance(given := values.get(column.name, ()), dict | bytes) else column.pack(given)
                for column in columns_of(kind)
            ),
        )

    @classmethod
    def join(cls, kind: type[R], parts: Sequence[Columns[R]]) -> Columns[R]:
        """Return all rows of these, in order."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            kind,
            sum(map(len, parts)),
            tuple(_join(column, place, parts) for place, column in enumerate(columns_of(kind))),
        )

    # one column

    def numbers(self, name: str) -> array[Any]:  # Any: int or float, as the field is
        """Return a column of numbers."""
        column, values = self._column(name)
        return _unpack(_TYPECODES[column.type], column.fill(values, self._count))

    def names(self, name: str) -> list[bytes]:
        """Return a column of bytes."""
        column, values = self._column(name)
        return list(column.unpack(values, self._count))

    def texts(self, name: str) -> list[str]:
        """Return a column of text."""
        column, values = self._column(name)
        return list(column.unpack(values, self._count))

    def codes(self, name: str) -> bytes:
        """Return a column of an Enum: the places of its members."""
        column, values = self._column(name)
        codes = column.fill(values, self._count)
        assert isinstance(codes, bytes), "codes are packed"
        return codes

    def rest(self, name: str) -> Mapping[int, Any]:  # Any: values of that field
        """Return what is not the default, by position."""
        _, values = self._column(name)
        assert not isinstance(values, bytes), f"{name} is packed"
        return values

    def raw(self, name: str) -> bytes:
        """Return a column as it is packed; empty if all values are the default."""
        _, values = self._column(name)
        assert isinstance(values, bytes), f"{name} is not packed"
        return values

    @property
    def values(self) -> tuple[Values, ...]:
        """All columns as they are kept, in the order of the fields."""
        return self._values

    def replace(self, **values: Iterable[Any]) -> Columns[R]:  # Any: values of the fields
        """Return the same rows with other values of some fields."""
        known = {column.name: kept for column, kept in zip(columns_of(self.kind), self._values, strict=True)}
        return Columns.build(self.kind, self._count, **{**known, **values})

    def as_kind(self, kind: type[Other]) -> Columns[Other]:
        """Return the columns of another kind of row, whose fields are all among ours."""
        kept = {column.name: values for column, values in zip(columns_of(self.kind), self._values, strict=True)}
        return Columns(kind, self._count, tuple(kept[column.name] for column in columns_of(kind)))

    def pick(self, places: Sequence[int]) -> Columns[R]:
        """Return the rows at these places."""
        if len(places) == self._count and list(places) == list(range(self._count)):
            return self
        columns = columns_of(self.kind)
        values = (list(column.unpack(kept, self._count)) for column, kept in zip(columns, self._values, strict=True))
        picked = (column.pack([of[place] for place in places]) for column, of in zip(columns, values, strict=True))
        return Columns(self.kind, len(places), tuple(picked))

    def _column(self, name: str) -> tuple[Column, Values]:
        for column, values in zip(columns_of(self.kind), self._values, strict=True):
            if column.name == name:
                return column, values
        raise KeyError(name)

    # a sequence of rows

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> R: ...
    @overload
    def __getitem__(self, place: slice) -> Columns[R]: ...
    def __getitem__(self, place: int | slice) -> R | Columns[R]:
        if isinstance(place, int):
            if not -self._count <= place < self._count:
                raise IndexError(place)
            at = place % self._count
            return next(iter(self[at : at + 1]))
        start, stop, step = place.indices(self._count)
        if step != 1:
            return self.pick(range(start, stop, step))
        stop = max(start, stop)
        if stop - start == self._count:
            return self
        columns = columns_of(self.kind)
        cut = (column.cut(values, start, stop) for column, values in zip(columns, self._values, strict=True))
        return Columns(self.kind, stop - start, tuple(cut))

    def __iter__(self) -> Iterator[R]:
        columns = columns_of(self.kind)
        return map(self.kind, *(c.unpack(v, self._count) for c, v in zip(columns, self._values, strict=True)))


def _join(column: Column, place: int, parts: Sequence[Columns[Any]]) -> Values:  # Any: rows of whatever kind
    if not column.is_plain:
        joined: dict[int, Any] = {}  # Any: see Values
        start = 0
        for part in parts:
            values = part.values[place]
            assert not isinstance(values, bytes), "not packed"
            joined |= {start + at: value for at, value in values.items()}
            start += len(part)
        return joined
    if not any(part.values[place] for part in parts):
        return b""
    packed = [column.fill(part.values[place], len(part)) for part in parts]
    return b"".join(values for values in packed if isinstance(values, bytes))


def _join_names(names: Iterable[Any]) -> bytes:  # Any: bytes
    return b"\0".join(names)


def _pack(typecode: str, values: Iterable[Any]) -> bytes:  # Any: int or float
    packed = array(typecode, values)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _unpack(typecode: str, values: Values) -> array[Any]:  # Any: int or float
    assert isinstance(values, bytes), "numbers are packed"
    unpacked: array[Any] = array(typecode)  # Any: see above
    unpacked.frombytes(values)
    if sys.byteorder == "big":
        unpacked.byteswap()
    return unpacked
