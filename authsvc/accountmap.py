"""All accounts of a caller: those of his name, then those of his VO.

Decides which of the two maps wins.  **The DN does**: a line that names a person is the administrator's word on this
person, one that names a group is about everybody in it.  So the default account is the first one of the DN's line, and
if there is none, the first one of the FQANs.  All of them may be asked for.
"""

from __future__ import annotations

from typing import Protocol

from authsvc.fqanmap import FqanMapFile
from authsvc.gridmap import GridmapFile


class Mappable(Protocol):
    """What maps look at: a name and what a VO says of it; `authsvc.identity.Identity` is one."""

    @property
    def dn(self) -> str:
        """The DN of the end-entity certificate."""

    @property
    def fqans(self) -> tuple[str, ...]:
        """The verified FQANs, in the VO's order."""


class AccountSource(Protocol):
    """Where the accounts of a caller are known: files of this host, or a site's service."""

    @property
    def name(self) -> str:
        """What it is, for messages: "the grid-mapfile"."""

    def accounts_of(self, identity: Mappable, *, wait: bool = True) -> tuple[str, ...]:
        """Return the accounts that the caller may use, the default first; empty if there is none.

        Without `wait` nothing is waited for.  Raises FdtError if it cannot be known now.
        """


class AccountMap:
    """The two files of one host, read anew when they change."""

    def __init__(self, gridmap: str, fqanmap: str = "") -> None:
        """Read the grid-mapfile and, if there is a path, the FQAN map.  Raises BadGridmap."""
        self._gridmap = GridmapFile(gridmap)
        self._fqanmap = FqanMapFile(fqanmap) if fqanmap else None

    @property
    def name(self) -> str:
        """What it is, for messages."""
        return "the grid-mapfile" if self._fqanmap is None else "the grid-mapfile or the FQAN map"

    def accounts_of(self, identity: Mappable, *, wait: bool = True) -> tuple[str, ...]:  # noqa: ARG002  # files are at hand
        """Return the caller's accounts, the default first; empty if neither he nor his groups are mapped."""
        found = dict.fromkeys(self._gridmap.accounts_of(identity.dn))
        if self._fqanmap is not None and identity.fqans:
            found.update(dict.fromkeys(self._fqanmap.accounts_of(identity.fqans)))
        return tuple(found)
