"""Copyjobs: files that list what is to be moved.

Decides two forms.  Lines `FROM_PFN TO_PFN`, literal as in the ancestor, which is what PhEDEx-like callers write; and a
JSON list of {"source": ..., "destination": ...}, for names with blanks.  The whole file is read before anything moves,
and everything that is wrong with it is said at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from fdtcp.errors import BadCopyjob, BadPfn
from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer

# Who wrote a thousand bad lines learns no more from the thousandth.
MAX_LISTED: Final = 20

_BLANKS = re.compile(rb"[ \t]+")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")

Numbered = tuple[int, Transfer]


def parse_copyjob(content: bytes, name: str) -> tuple[Transfer, ...]:
    """Read the content of a copyjobfile; `name` is the file's name for messages.

    Raises BadCopyjob that lists the bad lines (the first 20) with their numbers.
    """
    bad: list[str] = []
    if content.lstrip()[:1] == b"[":
        what, numbered = "entry", list(_read_json(content, name, bad))
    else:
        what, numbered = "line", list(_read_lines(content, bad))
    bad += _find_doubles(numbered, what)
    if bad:
        raise _refuse(name, bad)
    if not numbered:
        # An empty list that ended well would tell a caller that all is copied.
        raise BadCopyjob(f"{name} names no file")
    return tuple(transfer for _, transfer in numbered)


def check_doubles(transfers: Iterable[Transfer]) -> None:
    """Raise BadCopyjob if two transfers would write the same file."""
    if bad := _find_doubles(list(enumerate(transfers, start=1)), "transfer"):
        raise _refuse("the arguments", bad)


def _refuse(name: str, bad: list[str]) -> BadCopyjob:
    rest = (f"and {len(bad) - MAX_LISTED} more",) if len(bad) > MAX_LISTED else ()
    things = "one thing is" if len(bad) == 1 else f"{len(bad)} things are"
    return BadCopyjob(f"{name}: {things} wrong, first: {bad[0]}", details=(*bad[:MAX_LISTED], *rest))


def _read_lines(content: bytes, bad: list[str]) -> Iterator[Numbered]:
    for number, raw in enumerate(content.split(b"\n"), start=1):
        line = raw.removesuffix(b"\r").strip(b" \t")
        if not line or line.startswith(b"#"):
            continue
        words = _BLANKS.split(line)
        if len(words) != 2:
            bad.append(f"line {number} has {len(words)} words, not 2")
        elif _CONTROL.search(words[0] + words[1]):
            # The report is split on white space of any kind, so such a name could not be told there.
            bad.append(f"line {number} has a control character (a JSON copyjob can hold such names)")
        else:
            try:
                yield number, Transfer(Pfn.parse(words[0]), Pfn.parse(words[1]), literal=True)
            except BadPfn as exc:
                bad.append(f"line {number}: {exc.reason}")


def _read_json(content: bytes, name: str, bad: list[str]) -> Iterator[Numbered]:
    import json

    try:
        entries = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as exc:
        raise BadCopyjob(f"{name} begins like JSON but is none: {exc}", remedy=_JSON_REMEDY) from exc
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or entry.keys() != {"source", "destination"}:
            bad.append(f"entry {number} is not a map with source and destination")
            continue
        try:
            source, destination = (_encode(entry[key]) for key in ("source", "destination"))
            yield number, Transfer(Pfn.parse(source), Pfn.parse(destination))
        except (BadPfn, ValueError) as exc:
            bad.append(f"entry {number}: {exc.reason if isinstance(exc, BadPfn) else exc}")


_JSON_REMEDY: Final = 'write a list of {"source": "fdt://...", "destination": "fdt://..."}'


def _encode(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("source and destination must be text")
    try:
        # What Python itself makes of names that are not UTF-8 comes back as the same bytes.
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as exc:
        raise ValueError("a name with half a surrogate pair is not text") from exc


def _find_doubles(numbered: Iterable[Numbered], what: str) -> list[str]:
    first: dict[object, int] = {}
    doubles = []
    for number, transfer in numbered:
        before = first.setdefault(transfer.destination.place, number)
        if before != number:
            doubles.append(f"{what} {number} has the destination of {what} {before}: {transfer.destination}")
    return doubles
