"""Distinguished names as grid sites write them: `/DC=ch/DC=cern/CN=Some Body`.

Decides how a name is rendered, which names are refused because their rendering could be read as another name, and
which two renderings mean the same.  Pure text; reading certificates is `authsvc.identity`'s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from authsvc.errors import CredentialRefused

# OpenSSL's short names, which grid-mapfiles use; anything else is rendered by its number.
SHORT_NAMES: Final = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.42": "GN",
    "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
}

# A value that holds "/CN=" would make one name read as another one with more parts.
_LOOKS_LIKE_A_PART: Final = re.compile(r"/[A-Za-z0-9][A-Za-z0-9.\-]*=")
_PART: Final = re.compile(r"/(?P<kind>[A-Za-z0-9][A-Za-z0-9.\-]*)=")
# Three generations of tools spell these differently for one and the same certificate.
_SAME_KIND: Final = {"email": "emailaddress", "e": "emailaddress", "userid": "uid"}

Part = tuple[str, str]  # attribute type as a dotted number, value


def render(rdns: Sequence[Sequence[Part]]) -> str:
    """Write a name, outermost part first.

    Raises CredentialRefused for names that could be mistaken: multi-valued parts, control characters, values that
    look like further parts.  `CN=host/some.name` is legal and common.
    """
    parts: list[str] = []
    for rdn in rdns:
        if len(rdn) != 1:
            raise CredentialRefused("the certificate's name has a part with several values, which no map can express")
        kind, value = rdn[0]
        if not value or any(not c.isprintable() for c in value):
            raise CredentialRefused(f"the certificate's name holds an empty value or control characters: {value!r}")
        if _LOOKS_LIKE_A_PART.search(value):
            raise CredentialRefused(f"the value {value!r} in the certificate's name looks like a further part of it")
        parts.append(f"/{SHORT_NAMES.get(kind, kind)}={value}")
    if not parts:
        raise CredentialRefused("the certificate has no name")
    return "".join(parts)


def fold(dn: str) -> str:
    """Return the key under which two spellings of one DN meet: case and attribute spellings do not count.

    ASCII case only: folding more would make different names of other scripts equal.
    """
    lower = dn.translate(_ASCII_LOWER)
    return _PART.sub(lambda part: f"/{_SAME_KIND.get(part['kind'], part['kind'])}=", lower)


_ASCII_LOWER: Final = {ord("A") + i: ord("a") + i for i in range(26)}
