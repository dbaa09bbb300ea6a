"""Frozen dataclasses to plain values and back, checked on the way in.

Decides one encoding for everything that programs tell each other: a *message* is a map with field names (so that a
person can read it), what stands inside a message is a *row*, a list in field order (a job has up to a million of
them).  Missing fields take their defaults, so a newer peer may know more; unknown fields and wrong types are a
ProtocolViolation, because the value comes from another program.

JSON has no bytes: with `binary=False` they travel as text of the same code points (Latin-1), which loses nothing.  Only
columns stay bytes, and are for whoever writes the JSON to put somewhere (`fdtcp.model.order`).
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeVar

from fdtcp.errors import Problem, ProtocolViolation
from fdtcp.model.columns import Column, Columns, Values, columns_of

T = TypeVar("T")

Encoder = Callable[[Any], Any]  # Any: this module is where types end and plain values begin
Decoder = Callable[[Any], Any]  # Any: see above


class Schema(NamedTuple):
    """How one dataclass is written: its fields in order, and how many of them have no default."""

    names: tuple[str, ...]
    encoders: tuple[Encoder, ...]
    decoders: tuple[Decoder, ...]
    required: int


_SCHEMAS: Final[dict[tuple[type, bool], Schema]] = {}
_COLUMNS_CODERS: Final[dict[tuple[type, bool], tuple[Encoder, Decoder]]] = {}

# What struct and SQLite can hold; a larger number is never a size, an offset or a count.
_INT_LIMIT: Final = 1 << 63


def encode_message(message: object, *, binary: bool = True) -> dict[str, Any]:  # Any: plain values
    """Return the dataclass `message` as a map from field name to plain value."""
    names, encoders, _, _ = _schema(type(message), binary)
    return {name: encode(getattr(message, name)) for name, encode in zip(names, encoders, strict=True)}


def decode_message(cls: type[T], plain: object, *, binary: bool = True) -> T:
    """Read what `encode_message` made of a `cls`.  Raises ProtocolViolation."""
    if not isinstance(plain, dict):
        raise ProtocolViolation(f"{cls.__name__} must be a map, not {type(plain).__name__}")
    names, _, decoders, _ = _schema(cls, binary)
    if unknown := plain.keys() - set(names):
        raise ProtocolViolation(f"{cls.__name__} has an unknown field {min(map(str, unknown))!r}")
    try:
        values = {name: decode(plain[name]) for name, decode in zip(names, decoders, strict=True) if name in plain}
        return cls(**values)
    except (TypeError, ValueError) as exc:
        raise ProtocolViolation(f"bad {cls.__name__}: {exc}") from exc


def encode_rows(rows: Columns[Any]) -> list[Any]:  # Any: rows of whatever kind, plain values
    """Return rows as they travel in a message, by columns."""
    encoded: list[Any] = _columns_coders(rows.kind, binary=True)[0](rows)  # Any: see above
    return encoded


def decode_rows(cls: type[T], plain: object) -> Columns[T]:
    """Read what `encode_rows` made.  Raises ProtocolViolation."""
    try:
        rows: Columns[T] = _columns_coders(cls, binary=True)[1](plain)
    except (TypeError, ValueError) as exc:
        raise ProtocolViolation(f"bad rows of {cls.__name__}: {exc}") from exc
    return rows


def _schema(cls: type, binary: bool) -> Schema:
    """Return the schema of a dataclass, made once."""
    if (schema := _SCHEMAS.get((cls, binary))) is None:
        hints = typing.get_type_hints(cls)
        parts: tuple[Field[Any], ...] = fields(cls)  # Any: a field of whatever type
        coders = [_coders(hints[part.name], binary) for part in parts]
        schema = Schema(
            tuple(part.name for part in parts),
            tuple(encode for encode, _ in coders),
            tuple(decode for _, decode in coders),
            sum(part.default is MISSING and part.default_factory is MISSING for part in parts),
        )
        _SCHEMAS[cls, binary] = schema
    return schema


def _coders(hint: Any, binary: bool) -> tuple[Encoder, Decoder]:  # Any: a type hint
    origin = typing.get_origin(hint)
    if hint is bytes:
        return (_same, _exactly(bytes)) if binary else (_bytes_to_text, _text_to_bytes)
    if hint is int:
        return _same, _whole_number
    if hint is float:
        return _same, _number
    if hint in (bool, str):
        return _same, _exactly(hint)
    if hint is Problem:
        return Problem.encode, Problem.decode
    if origin is tuple:
        item, ellipsis = typing.get_args(hint)
        assert ellipsis is ..., f"only tuple[X, ...] can be encoded, not {hint}"
        encode, decode = _coders(item, binary)
        is_row = isinstance(item, type) and is_dataclass(item) and item is not Problem
        decode_all = _rows_of(item, binary, decode) if is_row else _list_of(decode)
        return (lambda value: list(map(encode, value))), decode_all
    if origin is Sequence:
        (item,) = typing.get_args(hint)
        return _columns_coders(item, binary)
    if origin in (types.UnionType, typing.Union):
        (inner,) = (arg for arg in typing.get_args(hint) if arg is not type(None))
        encode, decode = _coders(inner, binary)
        return (
            lambda value: None if value is None else encode(value),
            lambda value: None if value is None else decode(value),
        )
    if issubclass(hint, Enum):
        return attrgetter("value"), _member_of(hint)
    assert isinstance(hint, type) and is_dataclass(hint), f"{hint} cannot be encoded"
    return _row_coders(hint, binary)


def _row_coders(cls: type, binary: bool) -> tuple[Encoder, Decoder]:
    names, encoders, decoders, required = _schema(cls, binary)
    most = len(names)
    # Most values of a row are plain already: only the others are worth a call, in rows that come by the thousand.
    encoded = tuple((place, encode) for place, encode in enumerate(encoders) if encode is not _same)
    values_of = attrgetter(*names)

    def encode(row: object) -> list[Any]:  # Any: plain values
        values = list(values_of(row)) if most > 1 else [values_of(row)]
        for place, encode_one in encoded:
            values[place] = encode_one(values[place])
        return values

    def decode(plain: object) -> object:
        if not isinstance(plain, list | tuple) or not required <= len(plain) <= most:
            raise ValueError(f"{cls.__name__} must be a list of {required} to {most} values")
        return cls(*[decode_one(value) for decode_one, value in zip(decoders, plain, strict=False)])

    return encode, decode


def _rows_of(cls: type, binary: bool, decode_row: Decoder) -> Decoder:
    """Decode many rows at once: by columns, which are checked by the thousand without a call for each value."""
    _, _, decoders, required = _schema(cls, binary)
    by_row = _list_of(decode_row)

    def decode_all(plain: object) -> object:
        if not isinstance(plain, list | tuple) or not set(map(type, plain)) <= {list, tuple}:
            return by_row(plain)
        if len(widths := set(map(len, plain))) != 1 or not required <= min(widths) <= len(decoders):
            return by_row(plain)  # rows that leave out different defaults, none at all, or somebody's mistake
        columns = zip(*plain, strict=True)
        return tuple(map(cls, *[_column(decode, values) for decode, values in zip(decoders, columns, strict=False)]))

    return decode_all


def _column(decode: Decoder, values: tuple[Any, ...]) -> Iterable[Any]:  # Any: plain values
    """Decode the values of one field of many rows."""
    kind = _PLAIN.get(decode)
    if kind is None or set(map(type, values)) != {kind}:
        return list(map(decode, values))
    if kind is int and not (min(values) >= -_INT_LIMIT and max(values) < _INT_LIMIT):
        return list(map(decode, values))
    return values


def _columns_coders(cls: type, binary: bool) -> tuple[Encoder, Decoder]:
    if (known := _COLUMNS_CODERS.get((cls, binary))) is None:
        known = _COLUMNS_CODERS[cls, binary] = _make_columns_coders(cls, binary)
    return known


def _make_columns_coders(cls: type, binary: bool) -> tuple[Encoder, Decoder]:
    columns = columns_of(cls)
    required = sum(column.default is MISSING for column in columns)
    coders = [(_same, _exactly(bytes)) if c.is_plain else _sparse_coders(c, binary) for c in columns]
    encoders, decoders = [encode for encode, _ in coders], [decode for _, decode in coders]

    def encode(rows: Iterable[object]) -> list[Any]:  # Any: plain values
        values = Columns.of(cls, rows).values
        return [encode_one(one) for encode_one, one in zip(encoders, values, strict=True)]

    def decode(plain: object) -> object:
        if not isinstance(plain, list | tuple) or not required <= len(plain) <= len(columns):
            raise ValueError(f"rows of {cls.__name__} must be a list of {required} to {len(columns)} columns")
        values: list[Values] = [decode_one(one) for decode_one, one in zip(decoders, plain, strict=False)]
        values += [b"" if column.is_plain else {} for column in columns[len(values) :]]
        count = len(values[0]) // 8
        for column, one in zip(columns, values, strict=True):
            why = column.why_not(one, count) if isinstance(one, bytes) else _why_not_sparse(one, count)
            if why is not None:
                raise ValueError(f"{column.name} of {cls.__name__}: {why}")
        return Columns(cls, count, tuple(values))

    return encode, decode


def _sparse_coders(column: Column, binary: bool) -> tuple[Encoder, Decoder]:
    encode, decode = _coders(column.hint, binary)

    def decode_all(plain: object) -> dict[int, Any]:  # Any: values of that field
        if not isinstance(plain, list | tuple) or not all(isinstance(one, list | tuple) for one in plain):
            raise ValueError(f"{column.name} must be a list of places and values")
        found = {_whole_number(place): decode(value) for place, value in plain}
        if len(found) != len(plain):
            raise ValueError(f"{column.name} names a place twice")
        return found

    return lambda values: [[place, encode(value)] for place, value in values.items()], decode_all


def _why_not_sparse(values: Mapping[int, object], count: int) -> str | None:
    if values and not (min(values) >= 0 and max(values) < count):
        return f"a place that is none of {count} rows"
    return None


def _same(value: Any) -> Any:  # Any: plain values
    return value


def _bytes_to_text(value: bytes) -> str:
    return value.decode("latin-1")


def _text_to_bytes(value: object) -> bytes:
    if type(value) is not str:
        raise ValueError(f"expected text, got {type(value).__name__}")
    return value.encode("latin-1")


@cache
def _exactly(kind: type) -> Decoder:
    def decode(value: object) -> object:
        if type(value) is not kind:
            raise ValueError(f"expected {kind.__name__}, got {type(value).__name__}")
        return value

    return decode


def _whole_number(value: object) -> int:
    # `type is`, not isinstance: True is an int to Python, but never a size.
    if type(value) is not int or not -_INT_LIMIT <= value < _INT_LIMIT:
        raise ValueError(f"expected a whole number of 63 bits, got {type(value).__name__}")
    return value


def _number(value: object) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"expected a number, got {type(value).__name__}")
    try:
        number = float(value)  # type: ignore[arg-type]  # the line above leaves int and float
    except OverflowError as exc:
        raise ValueError("expected a number, got one that is far too large") from exc
    if not math.isfinite(number):
        raise ValueError("expected a number, got what is none")
    return number


def _member_of(kind: type[Enum]) -> Decoder:
    members = {member.value: member for member in kind}

    def decode(value: object) -> Enum:
        # Only what can be hashed is looked up; the enum's own call knows how to refuse.
        member = members.get(value) if type(value) is str else None
        return kind(value) if member is None else member

    return decode


def _list_of(decode: Decoder) -> Decoder:
    def decode_all(value: object) -> tuple[object, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError(f"expected a list, got {type(value).__name__}")
        return tuple(map(decode, value))

    return decode_all


# What these decoders let through unchanged, if it is of that type (and no number that is too large).
_PLAIN: Final[dict[Decoder, type]] = {
    _whole_number: int,
    _exactly(str): str,
    _exactly(bytes): bytes,
    _exactly(bool): bool,
}
