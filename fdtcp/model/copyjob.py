"""Copyjobs: files that list what is to be moved.

Decides two forms.  Lines `FROM_PFN TO_PFN`, literal as in the ancestor, which is what PhEDEx-like callers write; and a
JSON list of {"source": ..., "destination": ...}, for names with blanks.  The whole file is read before anything moves,
and everything that is wrong with it is said at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from fdtcp.errors import BadCopyjob, BadPfn
from fdtcp.model.pfn import MAX_PATH_BYTES, Address, Pfn, parse_authority
from fdtcp.model.transfer import Transfer, Transfers

# Who wrote a thousand bad lines learns no more from the thousandth.
MAX_LISTED: Final = 20

_BLANKS = re.compile(rb"[ \t]+")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")

# A Pfn about which nothing is unusual: no blanks or control characters, one spelling of the scheme, a path that names a
# file.  Groups: the whole, the authority, the path behind all but one of its first slashes.
_PLAIN_PFN = rb"(fdt://([A-Za-z0-9_.:\[\]-]+)/*(/[!-.0-~\x80-\xff][!-~\x80-\xff]*))(?<!/)(?<!/\.)(?<!/\.\.)"
_PLAIN_LINE = re.compile(rb"^" + _PLAIN_PFN + rb"[ \t]+" + _PLAIN_PFN + rb"\r?$", re.MULTILINE)
# So much of a copyjob is looked at at once: what is found in it, before it is put away, takes six times as much memory.
_BITE_BYTES: Final = 4 << 20

Numbered = tuple[int, Transfer]


def parse_copyjob(content: bytes, name: str) -> Transfers:
    """Read the content of a copyjobfile; `name` is the file's name for messages.

    Raises BadCopyjob that lists the bad lines (the first 20) with their numbers.
    """
    if (plain := _read_plain(content)) is not None:
        return plain
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
    return Transfers.of(transfer for _, transfer in numbered)


def check_doubles(transfers: Iterable[Transfer]) -> None:
    """Raise BadCopyjob if two transfers would write the same file."""
    if bad := _find_doubles(list(enumerate(transfers, start=1)), "transfer"):
        raise _refuse("the arguments", bad)


def _refuse(name: str, bad: list[str]) -> BadCopyjob:
    rest = (f"and {len(bad) - MAX_LISTED} more",) if len(bad) > MAX_LISTED else ()
    things = "one thing is" if len(bad) == 1 else f"{len(bad)} things are"
    return BadCopyjob(f"{name}: {things} wrong, first: {bad[0]}", details=(*bad[:MAX_LISTED], *rest))


def _read_plain(content: bytes) -> Transfers | None:
    """Read a copyjob of plain lines only; None if there is anything unusual in it, or wrong with it.

    That is how programs write them, a hundred thousand lines and more: this reads one in a third of the time.
    """
    transfers = Transfers()
    start = 0
    while start < len(content):
        end = min(start + _BITE_BYTES, len(content))
        if end < len(content):
            end = content.rfind(b"\n", start, end) + 1 or len(content)
        found = _PLAIN_LINE.findall(content, start, end)
        lines = content.count(b"\n", start, end) + (content[end - 1 : end] != b"\n")
        if len(found) != lines or not _take_plain(found, transfers):
            return None
        start = end
    return transfers if transfers and not _may_have_doubles(transfers) else None


def _take_plain(found: Sequence[tuple[bytes, ...]], transfers: Transfers) -> bool:
    """Take lines of pairs of daemons in their order; False if something is wrong with one."""
    if max(max(len(line[2]), len(line[5])) for line in found) > MAX_PATH_BYTES:
        return False
    known: dict[tuple[bytes, bytes], tuple[Address, Address]] = {}
    try:
        for spelled in {(line[1], line[4]) for line in found}:
            known[spelled] = (parse_authority(spelled[0]), parse_authority(spelled[1]))
    except ValueError:
        return False
    for (source, destination), lines in groupby(found, key=itemgetter(1, 4)):
        names = list(map(itemgetter(0, 2, 3, 5), lines))
        transfers.extend(names, known[source, destination], is_literal=True)
    return True


def _may_have_doubles(transfers: Transfers) -> bool:
    """Whether two may write the same file; a name with an odd spelling makes it possible."""
    paths = transfers.destination_paths(0, len(transfers))
    if any(b"//" in path or b"/./" in path for path in paths):
        return True
    if len(transfers.pairs) == 1:
        return len(set(paths)) != len(paths)
    return len({(transfers.pairs[pair][1], path) for pair, path in zip(transfers.pair_of, paths, strict=True)}) != len(
        paths
    )


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
