"""Dataclasses that cost little to define.

The standard library writes, compiles and runs six methods for each frozen class when its module is loaded: half a
millisecond each.  A mover, which starts with every transfer, loads fifty such classes and makes objects of ten.
Decides that those methods are shared by all classes, but for `__init__`, which is written when the first object is
made.

Used as `dataclasses.dataclass(frozen=True, slots=True)`, or `(slots=True)`, is; for type checkers it is that.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, TypeVar

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool = False, slots: bool) -> Callable[[type[T]], type[T]]:
        """Make a dataclass with slots of a class."""
        assert slots, "a value without slots is left to the standard library"

        def make(cls: type[T]) -> type[T]:
            for name, method in (_FROZEN if frozen else _MUTABLE).items():
                if name not in cls.__dict__:
                    setattr(cls, name, method)
            if frozen and "__hash__" not in cls.__dict__:
                cls.__hash__ = _hash
            return dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)

        return make


T = TypeVar("T")


def _first_init(self: object, *args: object, **values: object) -> None:
    """Write the class's own `__init__`, and call it from now on."""
    cls: Any = type(self)  # Any: a class whose method is about to be replaced
    cls.__init__ = _write_init(cls)
    cls.__init__(self, *args, **values)


def _write_init(cls: Any) -> Any:  # Any: a class made here, and the function
    parameters, lines = ["self"], []
    names: dict[str, Any] = {"_MISSING": dataclasses.MISSING}  # Any: what the function refers to
    for part in dataclasses.fields(cls):
        name = part.name
        # A slot is set by its descriptor: quicker than by name, and a frozen class does not refuse it.
        names[f"_set_{name}"] = getattr(cls, name).__set__
        value = name
        if part.default_factory is not dataclasses.MISSING:
            parameters.append(f"{name}=_MISSING")
            names[f"_make_{name}"] = part.default_factory
            value = f"_make_{name}() if {name} is _MISSING else {name}"
        elif part.default is not dataclasses.MISSING:
            parameters.append(f"{name}=_default_{name}")
            names[f"_default_{name}"] = part.default
        else:
            parameters.append(name)
        lines.append(f" _set_{name}(self, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    source = f"def __init__({', '.join(parameters)}):\n" + "\n".join(lines or [" pass"])
    exec(source, names)  # noqa: S102  # names of fields in our own code, as the standard library does it
    return names["__init__"]


def _compared(self: Any) -> tuple[object, ...]:  # Any: an object of a class made here
    return tuple([getattr(self, name) for name, part in self.__dataclass_fields__.items() if part.compare])


def _eq(self: object, other: object) -> bool:
    if other.__class__ is not self.__class__:
        return NotImplemented  # type: ignore[no-any-return]  # Python asks the other one
    is_equal: bool = _compared(self) == _compared(other)
    return is_equal


def _hash(self: object) -> int:
    return hash(_compared(self))


def _repr(self: Any) -> str:  # Any: an object of a class made here
    shown = (f"{name}={getattr(self, name)!r}" for name, part in self.__dataclass_fields__.items() if part.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse(_self: object, name: str, *_value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot change field {name!r}")


_MUTABLE: Final = {"__init__": _first_init, "__eq__": _eq, "__hash__": None, "__repr__": _repr}
_FROZEN: Final = {
    "__init__": _first_init,
    "__eq__": _eq,
    "__repr__": _repr,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
}
