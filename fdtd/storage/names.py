"""What temporary files are called.

Decides the names of the partial and its journal: hidden, in the destination's own directory (a rename must not cross
file systems), and the same for every attempt at the same destination, so that a later attempt finds them and two
transfers of one file meet at one lock.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from typing import Final

# NAME_MAX of every file system that we know of.
NAME_MAX: Final = 255

# 40 bits: only destinations of one directory with equally shortened names can collide at all.
_KEY_DIGITS: Final = 10

_LONGEST_TAIL: Final = len(b".fdt-") + _KEY_DIGITS + len(b".journal")

_TEMPORARY: Final = re.compile(rb"\..*\.fdt-[0-9a-f]{10}\.(?:part|journal)", re.DOTALL)


# What is kept of a name in those of its temporary files.
_KEPT: Final = NAME_MAX - _LONGEST_TAIL - 1


# Pre-flight asks for the names of a chunk, writing asks for them again.
@lru_cache(maxsize=4096)
def partial_name(name: bytes) -> bytes:
    """Return the name under which the file `name` is written until it is complete and safe."""
    return _stem(name) + b".part"


def journal_name(name: bytes) -> bytes:
    """Return the name of the journal that says which parts of the partial are safe."""
    return _stem(name) + b".journal"


def journal_of_partial(partial: bytes) -> bytes:
    """Return the journal's name for a partial's."""
    return partial.removesuffix(b".part") + b".journal"


def is_temporary(name: bytes) -> bool:
    """Whether a name may be that of a partial or a journal."""
    return b".fdt-" in name and _TEMPORARY.fullmatch(name) is not None


def owner_of(temporary: bytes) -> bytes | None:
    """Return the name of the file that a partial or a journal is of; None if it was too long to be kept whole."""
    name = temporary.rpartition(b".fdt-")[0][1:]
    return name if len(name) < _KEPT else None


def _stem(name: bytes) -> bytes:
    key = sha256(name).hexdigest()[:_KEY_DIGITS].encode()
    # Names that are too long are cut; the key, made of the whole name, still tells them apart.
    return b"." + name[:_KEPT] + b".fdt-" + key
