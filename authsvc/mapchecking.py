"""A look at the maps from names to accounts: lines that do not count, and accounts that nobody gets.

Decides what an administrator should know of a map that a daemon has to live with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from authsvc.accounts import local_account
from authsvc.errors import AccountRefused
from authsvc.findings import Finding, Level
from authsvc.fqanmap import FqanMapFile
from authsvc.gridmap import GridmapFile
from authsvc.mapfile import Line, MapFile, Sized, read_lines
from fdtcp.errors import FdtError

# More lines of one kind say nothing new.
_TOLD = 20


def check_gridmap(path: str, min_uid: int | None) -> Iterator[Finding]:
    """Look at a grid-mapfile; with `min_uid` also whether this host has the accounts and may use them."""
    return _check_map(lambda: GridmapFile(path), path, min_uid)


def check_fqanmap(path: str, min_uid: int | None) -> Iterator[Finding]:
    """Look at an FQAN map."""
    return _check_map(lambda: FqanMapFile(path), path, min_uid)


def _check_map(open_map: Callable[[], MapFile[Sized]], path: str, min_uid: int | None) -> Iterator[Finding]:
    try:
        opened = open_map()
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (FdtError, OSError, ValueError) as exc:
        yield Finding(Level.CRITICAL, "map", str(exc))
        return
    lines, problems = read_lines(text, opened.check_name)
    for problem in problems[:_TOLD]:
        yield Finding(Level.WARNING, "map", f"{path}, {problem}; the line is skipped")
    if len(problems) > _TOLD:
        yield Finding(Level.WARNING, "map", f"{path}: {len(problems) - _TOLD} more bad lines")
    yield Finding(Level.OK, "map", f"{path} maps {len(opened.current())} names")
    for number, why in (*_doubles(lines, opened), *_bad_accounts(lines, min_uid)):
        yield Finding(Level.WARNING, "map", f"{path}, line {number}: {why}")


def _doubles(lines: Sequence[Line], opened: MapFile[Sized]) -> Iterator[tuple[int, str]]:
    first: dict[str, int] = {}
    for line in lines:
        before = first.setdefault(opened.key_of(line.name), line.number)
        if before != line.number:
            yield line.number, f"line {before} wins for {line.name!r}"


def _bad_accounts(lines: Sequence[Line], min_uid: int | None) -> Iterator[tuple[int, str]]:
    """Name each account that this host would refuse once, with the first line that has it."""
    wanted: dict[str, int] = {}
    for line in lines if min_uid is not None else ():
        for account in line.accounts:
            wanted.setdefault(account, line.number)
    for account, number in wanted.items():
        try:
            local_account(account, min_uid or 0)
        except AccountRefused as exc:
            yield number, exc.reason
