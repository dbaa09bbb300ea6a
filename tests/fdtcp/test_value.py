"""Our dataclasses do what those of the standard library do."""

from __future__ import annotations

import dataclasses
from dataclasses import field, replace
from typing import Any

import pytest

from fdtcp.value import dataclass


@dataclass(frozen=True, slots=True)
class Ours:
    """A value."""

    a: int
    b: tuple[int, ...] = ()
    c: list[int] = field(default_factory=list, compare=False)
    d: str = field(default="d", repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Theirs:
    """The same."""

    a: int
    b: tuple[int, ...] = ()
    c: list[int] = field(default_factory=list, compare=False)
    d: str = field(default="d", repr=False)


@dataclass(slots=True)
class Changing:
    a: int
    b: int = 2

    def __post_init__(self) -> None:
        self.b += self.a


BOTH = pytest.mark.parametrize("kind", [Ours, Theirs])


@BOTH
def test_values_are_made_compared_and_shown(kind: Any) -> None:  # Any: one of two classes with the same fields
    one = kind(1, b=(2,))
    assert (one.a, one.b, one.c, one.d) == (1, (2,), [], "d")
    assert one == kind(1, (2,), [5])
    assert one != kind(1)
    assert one != (1, (2,), [], "d")
    assert hash(one) == hash(kind(1, (2,), [5]))
    assert repr(one) == f"{kind.__name__}(a=1, b=(2,), c=[])"
    assert kind(1).c is not kind(1).c
    assert replace(one, a=7) == kind(7, (2,))
    assert [part.name for part in dataclasses.fields(kind)] == ["a", "b", "c", "d"]
    match one:
        case kind(a, b):
            assert (a, b) == (1, (2,))


@BOTH
@pytest.mark.parametrize(("args", "values"), [((), {}), ((1, (), [], "", 5), {}), ((1,), {"a": 1}), ((1,), {"x": 1})])
def test_wrong_arguments_are_refused(kind: Any, args: tuple[Any, ...], values: dict[str, Any]) -> None:  # Any: as above
    with pytest.raises(TypeError):
        kind(*args, **values)


@BOTH
def test_a_frozen_value_does_not_change(kind: Any) -> None:  # Any: as above
    one = kind(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.a = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del one.a
    with pytest.raises((AttributeError, TypeError)):
        one.other = 2
    assert not hasattr(one, "__dict__")


def test_what_is_not_frozen_changes_and_has_no_hash() -> None:
    one = Changing(1)
    assert (one.a, one.b) == (1, 3)
    one.a = 5
    assert one == replace(Changing(5), b=-2) == one
    with pytest.raises(TypeError):
        hash(one)
    with pytest.raises(AttributeError):
        one.other = 2  # type: ignore[attr-defined]  # that this fails is the point


def test_a_class_may_have_methods_of_its_own() -> None:
    @dataclass(frozen=True, slots=True)
    class Own:
        a: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own)

        def __hash__(self) -> int:
            return 7

        def __repr__(self) -> str:
            return "own"

    assert Own(1) == Own(2)
    assert (hash(Own(1)), repr(Own(1))) == (7, "own")


def test_a_class_without_fields() -> None:
    @dataclass(frozen=True, slots=True)
    class Empty:
        """Nothing."""

    assert Empty() == Empty()
    assert len({Empty(), Empty()}) == 1
