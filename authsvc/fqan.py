"""Fully qualified attribute names of a VO: `/atlas/prod/Role=admin`.

Decides the form, and which two spellings are one attribute: `/Role=NULL` and every `/Capability=...` say nothing (VOMS
dropped capabilities long ago) and are taken away.  Pure.
"""

from __future__ import annotations

import re
from typing import Final

# OGSA-AuthZ: letters, digits, dot, dash, underscore; a blank in a role has been seen in the field.
_WORD: Final = r"[A-Za-z0-9_][A-Za-z0-9_.\-]*"
_VO: Final = re.compile(_WORD)
_FQAN: Final = re.compile(rf"(?P<group>(?:/{_WORD})+)(?:/Role=(?P<role>[A-Za-z0-9_.\- ]+))?(?:/Capability=[^/=]*)?")
# VOMS itself allows 412.
MAX_CHARS: Final = 512


def normalise(text: str) -> str:
    """Return the one spelling of an attribute that is compared.  Raises ValueError for what is none."""
    match = _FQAN.fullmatch(text) if len(text) <= MAX_CHARS else None
    if match is None or ".." in text:
        raise ValueError(f"{text[:MAX_CHARS]!r} is no VOMS attribute: /VO/group/Role=role is needed")
    role = match["role"]
    return match["group"] if role is None or role == "NULL" else f"{match['group']}/Role={role}"


def is_vo_name(text: str) -> bool:
    """Say whether this can be a VO's name, and so a directory's: never a path, never hidden."""
    return len(text) <= 255 and _VO.fullmatch(text) is not None and ".." not in text


def is_of_vo(fqan: str, vo: str) -> bool:
    """Say whether an attribute is one that the VO may give."""
    return fqan == f"/{vo}" or fqan.startswith(f"/{vo}/")
