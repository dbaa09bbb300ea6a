"""The ConfigObj edge: configuration files become checked values here, and nowhere else.

Decides how a file is read and how a bad value is reported (file, line, key, what is allowed).  Which keys exist is
decided by the configspec that each program brings along; what they mean, by the program.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from configobj import ConfigObj, ConfigObjError, flatten_errors, get_extra_values
from configobj.validate import ValidateError, Validator, VdtValueError

from fdtcp.errors import BadSettings
from fdtcp.units import parse_duration, parse_size

Sections = dict[str, Any]  # Any: the configspec, not the type system, says what a key holds

_SECTION = re.compile(r"\s*\[+\s*(?P<name>[^\]]+?)\s*\]+\s*(#.*)?")
_KEY = re.compile(r"\s*(?P<name>[^=#\s][^=]*?)\s*=")


def load_settings(
    path: str,
    spec: Sequence[str],
    checks: Mapping[str, Callable[..., object]] | None = None,
    *,
    ignore_unknown: bool = False,
) -> Sections:
    """Read the file at `path` and check it against the configspec lines `spec`.

    Besides ConfigObj's own checks a spec may use `size` (bytes), `duration` (seconds), `absolute` (a path; as
    `absolute_if_any` it may be empty), `listen` (address and port) and those given in `checks` (functions from text to
    value that raise ValueError with what is allowed).  Keys that the file leaves out take the spec's defaults; an empty
    `path` gives all defaults.  Each check has a `_list` form for keys with several values (`size_list`), which takes
    one value without a comma, too.

    With `ignore_unknown` other keys may be there: the file is another program's, and we want a part of it.

    Raises BadSettings that lists *all* bad keys, each with file, line, key and what is allowed.
    """
    try:
        # No interpolation: a password or a DN may hold a percent sign.
        parsed = ConfigObj(
            path or None, configspec=list(spec), file_error=bool(path), interpolation=False, encoding="utf-8"
        )
    except ConfigObjError as exc:
        raise BadSettings(f"{path}: {exc}") from exc
    except UnicodeDecodeError as exc:
        raise BadSettings(f"{path} is not UTF-8 text: {exc}") from exc
    except OSError as exc:
        raise BadSettings(f"cannot read the configuration {path}: {exc.strerror or exc}") from exc
    all_checks = {**_COMMON, **(checks or {})}
    functions = {name: _adapt(check) for name, check in all_checks.items()}
    functions |= {f"{name}_list": _adapt_list(check) for name, check in all_checks.items()}
    verdict = parsed.validate(Validator(functions), preserve_errors=True)
    bad = (
        []
        if verdict is True
        else [_describe(sections, key, error) for sections, key, error in flatten_errors(parsed, verdict)]
    )
    bad += [
        _Bad((*sections, key), "unknown key; remove it or correct its spelling")
        for sections, key in (() if ignore_unknown else get_extra_values(parsed))
    ]
    if bad:
        lines = _key_lines(path)
        told = tuple(_locate(item, path, lines) for item in bad)
        raise BadSettings("; ".join(told), details=told)
    return dict(parsed)


def parse_absolute(text: str) -> str:
    """Read an absolute path without `..`.  Raises ValueError."""
    if not text.startswith("/") or "\0" in text or ".." in text.split("/"):
        raise ValueError(f"{text!r} is not an absolute path")
    return text


def parse_listen(text: str) -> tuple[str, int]:
    """Read a numeric address and a port to listen on.  Raises ValueError."""
    match = re.fullmatch(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<four>[0-9.]+)):(?P<port>\d{1,5})", text.strip())
    try:
        if match is None or int(match["port"]) > 65535:
            raise ValueError
        return str(ipaddress.ip_address(match["six"] or match["four"])), int(match["port"])
    except ValueError:
        raise ValueError(
            f"{text!r} is not a numeric address and port: write for example 0.0.0.0:8444 or [::1]:8444"
        ) from None


_COMMON: Mapping[str, Callable[..., object]] = {
    "size": parse_size,
    "duration": parse_duration,
    "absolute": parse_absolute,
    "absolute_if_any": lambda text: text and parse_absolute(text),
    "listen": parse_listen,
}


class _Bad:
    """One bad key: where it is (sections, then key) and what is wrong with it."""

    def __init__(self, where: tuple[str, ...], why: str) -> None:
        self.where = where
        self.why = why


def _adapt(check: Callable[..., object]) -> Callable[..., object]:
    """Make a ValueError of `check` one that ConfigObj reports against the key."""

    def checked(value: object, *args: object) -> object:
        try:
            return check(value, *args) if isinstance(value, str) else value
        except ValueError as exc:
            raise _Refused(value, str(exc)) from exc

    return checked


def _adapt_list(check: Callable[..., object]) -> Callable[..., object]:
    """Make of `check` one that takes a list of values (or one) and refuses the whole with the words for the bad one."""
    adapted = _adapt(check)

    def checked(value: object, *args: object) -> object:
        items = value if isinstance(value, list | tuple) else [value]
        return [adapted(item, *args) for item in items if item != ""]

    return checked


class _Refused(VdtValueError):  # type: ignore[misc]  # configobj ships no types
    """A value that one of our checks refused; keeps the check's own words."""

    def __init__(self, value: object, why: str) -> None:
        super().__init__(value)
        self.why = why


def _describe(sections: Sequence[str], key: str | None, error: object) -> _Bad:
    where = (*sections, key) if key is not None else tuple(sections)
    if isinstance(error, _Refused):
        return _Bad(where, error.why)
    if isinstance(error, ValidateError):
        return _Bad(where, str(error))
    return _Bad(where, "is missing and has no default")


def _locate(bad: _Bad, path: str, lines: Mapping[tuple[str, ...], int]) -> str:
    *sections, key = bad.where
    line = lines.get(bad.where)
    place = f"{path}, line {line}" if line else path or "defaults"
    return f"{place}: {''.join(f'[{name}] ' for name in sections)}{key}: {bad.why}"


def _key_lines(path: str) -> dict[tuple[str, ...], int]:
    """Map (section, ..., key) to line numbers: ConfigObj forgets them, a person who mends the file needs them."""
    found: dict[tuple[str, ...], int] = {}
    if not path:
        return found
    stack: list[str] = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if section := _SECTION.fullmatch(line.rstrip("\n")):
                depth = len(line.lstrip()) - len(line.lstrip().lstrip("["))
                stack = [*stack[: depth - 1], section["name"].strip("\"'")]
                found[tuple(stack)] = number
            elif key := _KEY.match(line):
                found.setdefault((*stack, key["name"].strip("\"'")), number)
    return found
