"""The FQAN map: which local accounts go with a group or a role in a VO.

Decides what a pattern matches and which line counts.  A file like a grid-mapfile, with FQANs in the place of DNs:

    "/cms/Role=production" cmsprod,cms001    this role in the VO, and no other
    "/cms/uscms/*" uscms                     the group /cms/uscms, its subgroups, and all roles in them
    "/cms/*" cms001                          the whole VO: put it last

Each FQAN gets the accounts of the first line that matches it.  A caller's FQANs count in the order in which his VO
wrote them into his proxy, so that the one that he put first (`voms-proxy-init --voms cms:/cms/Role=production`) decides
his default account.  Only FQANs that `authsvc` has verified come here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from authsvc.mapfile import Line, MapFile, read_lines

# What VOMS writes: groups, then a role and a capability.  A blank or a quote in it is an attack on somebody's parser.
_FQAN = re.compile(r"(/[A-Za-z0-9_.\-]+)+(/Role=[A-Za-z0-9_.\-]+)?(/Capability=[A-Za-z0-9_.\-]+)?")
_BELOW = "/*"


class FqanMap:
    """One version of the map."""

    def __init__(self, lines: Sequence[Line]) -> None:
        """Take the lines in their order; `parse` makes those."""
        self._lines = [(_shorten(pattern), names) for _, pattern, names in lines]

    def __len__(self) -> int:
        return len(self._lines)

    @classmethod
    def parse(cls, text: str) -> tuple[FqanMap, list[str]]:
        """Read the text of a map.  Return it with one problem a bad line, each naming its number; those are skipped."""
        lines, problems = read_lines(text, _check_pattern)
        return cls(lines), problems

    def accounts_of(self, fqans: Iterable[str]) -> tuple[str, ...]:
        """Return the accounts of all these FQANs, those of the first one first; empty if none is mapped."""
        found: dict[str, None] = {}
        for fqan in fqans:
            short = _shorten(fqan)
            names = next((names for pattern, names in self._lines if _matches(pattern, short)), ())
            found.update(dict.fromkeys(names))
        return tuple(found)


class FqanMapFile(MapFile[FqanMap]):
    """The FQAN map as it is on disk now."""

    def __init__(self, path: str) -> None:
        """Read the file.  Raises BadGridmap."""
        super().__init__(path, "FQAN map", FqanMap.parse)

    def check_name(self, name: str) -> None:
        """Raise ValueError for what is no pattern of FQANs."""
        _check_pattern(name)

    def key_of(self, name: str) -> str:
        """Return the same for two spellings of one pattern."""
        return _shorten(name)

    def accounts_of(self, fqans: Iterable[str]) -> tuple[str, ...]:
        """Return the accounts of these FQANs in the file as it is now."""
        return self.current().accounts_of(fqans)


def _matches(pattern: str, fqan: str) -> bool:
    if not pattern.endswith(_BELOW):
        return pattern == fqan
    group = pattern.removesuffix(_BELOW)
    return fqan == group or fqan.startswith(f"{group}/")


def _shorten(fqan: str) -> str:
    """Leave out what says nothing: some tools write /cms/Role=NULL/Capability=NULL, others /cms."""
    return fqan.replace("/Capability=NULL", "").replace("/Role=NULL", "")


def _check_pattern(pattern: str) -> None:
    if not _FQAN.fullmatch(pattern.removesuffix(_BELOW)):
        raise ValueError(
            f"{pattern!r} is not an FQAN: write for example /cms/Role=production, or /cms/* for all of /cms"
        )
