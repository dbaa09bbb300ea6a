"""What stands in a directory, read once for many files that are looked at.

A look at a file that is not there is three system calls that fail: for itself, its partial and its journal.  Where
thousands of files of one directory are asked for, its names tell the same.  Decides when reading them is worth it, and
how long it is believed; whatever is among them is looked at as ever.

What is made in the meantime is found when the file gets its name, as is what is made between a look and that
(docs/decisions/0056).
"""

from __future__ import annotations

import os
import time
from collections.abc import Set
from typing import Final

from fdtd.storage.kernel import has_honest_syncfs, list_names
from fdtd.storage.names import is_temporary, owner_of

# For so long what was seen of a directory is believed.  Whoever writes finds out for himself.
SURVEY_S: Final = 1.0

# A look takes as long as reading forty names: what is spent on reading them stays below half of what it can save,
# however many there are, and however few of the files are asked for.
_NAMES_A_LOOK: Final = 16

# 15 MB of memory.
_MOST_NAMES: Final = 1 << 17


class Listing:
    """The names in one directory, with those of files of which only partials or journals are there."""

    __slots__ = ("_credit", "_is_exact", "_least", "_taken", "_until")

    def __init__(self) -> None:
        self._taken: set[bytes] | None = None
        self._until = float("-inf")
        self._credit = 0  # how many names may be read
        self._least = 0  # with fewer it was tried in vain
        self._is_exact: bool | None = None  # whether a file can only be found by the name that is listed

    def taken(self, descriptor: int, looks: int) -> set[bytes] | None:
        """Return the names of which something is there, to somebody who would look at so many; None: he shall look.

        Not older than a second.  Raises OSError.
        """
        self._credit += looks * _NAMES_A_LOOK
        if time.monotonic() >= self._until:
            self._taken = None  # its memory, before the next one's
            if self._credit >= self._least and self._is_exact is not False:
                self._taken = self._read(descriptor)
        return self._taken

    def drop_if_old(self) -> bool:
        """Give back the memory of what is not believed any more; False if it still is."""
        if time.monotonic() < self._until:
            return False
        self._taken = None
        return True

    def add(self, name: bytes) -> None:
        """Note that there is something, from whichever thread."""
        if (taken := self._taken) is not None:
            taken.add(name)

    def _read(self, descriptor: int) -> set[bytes] | None:
        now = time.monotonic()
        most = min(self._credit, _MOST_NAMES)
        names = list_names(descriptor, most)
        self._credit -= most if names is None else len(names)
        self._least = 0
        if names is None:
            self._least = 2 * most
            return None
        if self._is_exact is None:
            self._is_exact = _is_exact(descriptor, names)
        if self._is_exact is False or not _add_owners(names):
            return None
        self._until = now + SURVEY_S
        return names


def _add_owners(names: set[bytes]) -> bool:
    """Add the names of files of which there are temporary ones; False if those cannot be told."""
    for name in [name for name in names if b".fdt-" in name and is_temporary(name)]:
        if (owner := owner_of(name)) is None:
            return False
        names.add(owner)
    return True


def _is_exact(descriptor: int, names: Set[bytes]) -> bool | None:
    """Whether a file is found by the name that is listed and by no other; None if these names do not tell.

    Only file systems of this host are believed to list what is there.  Some of them can be told to know `A` by `a`,
    and then other spellings, too: where there are letters one look finds that out, and where all is ASCII but letters
    there is but one spelling.
    """
    if not has_honest_syncfs(descriptor):
        return False
    for name in names:
        if (other := name.swapcase()) not in names:
            try:
                os.stat(other, dir_fd=descriptor, follow_symlinks=False)
            except FileNotFoundError:
                return True
            return False
        if other != name:
            return True
    return None if all(map(bytes.isascii, names)) else False
