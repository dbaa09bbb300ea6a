"""`vomsdir/<vo>/<host>.lsc`: which certificate a VO's server at this host signs with.

    /DC=ch/DC=cern/OU=computers/CN=voms.cern.ch        the server's DN
    /DC=ch/DC=cern/CN=CERN Grid Certification Authority  its CA's DN, and so on upwards as far as is wished
    ------ NEXT CHAIN ------                           another chain that is good as well

Decides what such a file means.  The names are all that it pins down; that they are true is for the CA directory.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Final

from authsvc.dn import fold
from authsvc.fqan import is_vo_name
from authsvc.watchedfile import Parsed

MAX_FILE_BYTES: Final = 64 << 10

Chains = tuple[tuple[str, ...], ...]


def parse(content: bytes) -> Chains:
    """Return the chains of a file, each of folded DNs from the server upwards.  Raises ValueError."""
    chains: list[list[str]] = [[]]
    for number, line in enumerate(content.decode().split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if stripped.startswith("---"):
            chains.append([])
        elif stripped.startswith("/"):
            chains[-1].append(fold(stripped))
        else:
            raise ValueError(f"line {number}: {stripped!r} is not a DN")
    whole = tuple(tuple(chain) for chain in chains if chain)
    # One name alone would let any CA of the directory be the VO.
    if not whole or any(len(chain) < 2 for chain in whole):
        raise ValueError("a chain of two DNs at least is needed: the server's and its CA's")
    return whole


class VomsDir:
    """One vomsdir; files are read again when they change."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._files = Parsed(parse, MAX_FILE_BYTES)

    def check(self, vo: str, host: str, chain: Sequence[str]) -> None:
        """Raise ValueError if the site does not expect `chain` (DNs, the server's first) of this VO at this host."""
        if not is_vo_name(vo) or not is_vo_name(host):
            raise ValueError(f"{vo!r} at {host!r} is no VO that could be configured")
        directory = os.path.join(self._path, vo)
        path = os.path.join(directory, f"{host}.lsc")
        try:
            for name in (self._path, directory):
                if os.stat(name).st_mode & stat.S_IWOTH:
                    raise ValueError(f"anybody can change {name}")
            expected = self._files.load(path)
        except FileNotFoundError:
            raise ValueError(f"the VO {vo} at {host} is not known here ({path} is missing)") from None
        except OSError as exc:
            raise ValueError(f"cannot read {path}: {exc.strerror}") from exc
        except ValueError as exc:
            raise ValueError(f"{path}: {exc}") from exc
        folded = tuple(map(fold, chain))
        if not any(folded[: len(names)] == names for names in expected):
            raise ValueError(f"{chain[0]} is not the server of the VO {vo} that {path} names")
