"""The grid-mapfile: which local accounts belong to a DN, read as Globus reads it.

Decides which DNs are one and the same, and that the first line of a DN wins.  The lines and the file are
`authsvc.mapfile`'s; whether an account may be used at all is `authsvc.accounts`'.

    "/DC=ch/DC=cern/CN=Some Body" alice,atlas     the first account is the default, the others may be asked for
    /O=Grid/CN=nobody nobody                      without quotes only if the DN holds no blank
"""

from __future__ import annotations

from authsvc.dn import fold
from authsvc.mapfile import MapFile, read_lines


class Gridmap:
    """One version of the map."""

    def __init__(self, accounts: dict[str, tuple[str, ...]]) -> None:
        """Take accounts keyed by folded DN; `parse` makes those."""
        self._accounts = accounts

    def __len__(self) -> int:
        return len(self._accounts)

    @classmethod
    def parse(cls, text: str) -> tuple[Gridmap, list[str]]:
        """Read the text of a map.  Return it with one problem a bad line, each naming its number; those are skipped."""
        lines, problems = read_lines(text, _check_dn)
        accounts: dict[str, tuple[str, ...]] = {}
        for _, dn, names in lines:
            # The first line wins, as with Globus: what is appended later cannot take a DN over.
            accounts.setdefault(fold(dn), names)
        return cls(accounts), problems

    def accounts_of(self, dn: str) -> tuple[str, ...]:
        """Return the accounts of `dn`, the default first; empty if it is not mapped."""
        return self._accounts.get(fold(dn), ())


def _check_dn(dn: str) -> None:
    if not dn.startswith("/"):
        raise ValueError(f"{dn!r} is not a DN: it must begin with a slash")


class GridmapFile(MapFile[Gridmap]):
    """The grid-mapfile as it is on disk now."""

    def __init__(self, path: str) -> None:
        """Read the file.  Raises BadGridmap."""
        super().__init__(path, "grid-mapfile", Gridmap.parse)

    def check_name(self, name: str) -> None:
        """Raise ValueError for what is no DN."""
        _check_dn(name)

    def key_of(self, name: str) -> str:
        """Return the same for two spellings of one DN."""
        return fold(name)

    def accounts_of(self, dn: str) -> tuple[str, ...]:
        """Return the accounts of `dn` in the file as it is now."""
        return self.current().accounts_of(dn)
