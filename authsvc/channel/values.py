"""What may travel in a call: plain values, checked before anybody touches them.

Decides what is refused at the door of both sides.  Pyro5's msgpack serialiser turns a map with a `__class__` key into
a live object: a proxy that dials out, or an exception that ends the program with status 0, "all copied".  So each
payload is read here first, strictly, and Pyro5 only sees those that hold nothing of the kind.
"""

from __future__ import annotations

from typing import Final, NoReturn, TypeAlias, TypeVar, Union

import msgpack

from fdtcp.errors import ProtocolViolation

Value: TypeAlias = Union[bool, int, float, str, bytes, list["Value"], dict[str, "Value"], None]  # noqa: UP007  # a recursive alias needs the name in quotes

# Our messages are three levels deep; a bound keeps everything that walks them simple.
MAX_DEPTH: Final = 32
# A byte on the wire can be a map of 64 bytes here, and four million of them a third of a gigabyte.  In the fullest
# message of ours, the kept extents of 1,000 files, there is room for 200 of each.
MAX_ITEMS: Final = 1 << 20
_Container = TypeVar("_Container", list[object], dict[str, object])
_SCALARS: Final = (type(None), bool, int, float, str, bytes)


def decode(payload: bytes) -> Value:
    """Read a msgpack payload.  Raises ProtocolViolation unless it holds plain values only."""
    budget = _Budget()
    try:
        value = msgpack.unpackb(
            payload,
            raw=False,
            use_list=True,
            strict_map_key=True,
            ext_hook=_refuse_extension,
            list_hook=budget.spend,
            object_hook=budget.spend,
            max_array_len=MAX_ITEMS,
            max_map_len=MAX_ITEMS,
        )
    except ProtocolViolation:
        raise
    except (ValueError, RecursionError) as exc:  # msgpack's own errors and bad UTF-8 are ValueErrors
        raise ProtocolViolation(f"a message is not proper msgpack: {exc or type(exc).__name__}") from exc
    return check(value)


class _Budget:
    """Counts what a message unfolds to while it is read, so that it ends before it has filled the memory."""

    def __init__(self) -> None:
        self._left = MAX_ITEMS

    def spend(self, container: _Container) -> _Container:
        """Count a list or a map and what it holds.  Raises ProtocolViolation."""
        self._left -= 1 + len(container)
        if self._left < 0:
            raise ProtocolViolation(f"a message holds more than {MAX_ITEMS} values")
        return container


def check(value: object) -> Value:
    """Return `value` if it is made of plain values only, else raise ProtocolViolation."""
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                if not all(type(key) is str for key in item):
                    raise ProtocolViolation("a message holds a map with keys that are not text")
                if "__class__" in item:
                    raise ProtocolViolation("a message asks for an object of a class (__class__), which is never made")
                below.extend(item.values())
            elif isinstance(item, list | tuple):
                below.extend(item)
            elif type(item) not in _SCALARS:
                raise ProtocolViolation(f"a message holds a {type(item).__name__}, which is no plain value")
        if not below:
            return value  # type: ignore[return-value]  # just checked
        level = below
    raise ProtocolViolation(f"a message is nested more than {MAX_DEPTH} levels deep")


def _refuse_extension(code: int, data: bytes) -> NoReturn:
    raise ProtocolViolation(f"a message holds a msgpack extension (type {code}, {len(data)} bytes)")
