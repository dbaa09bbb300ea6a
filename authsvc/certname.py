"""The names in a certificate, read without a library, and the hash by which a CA directory files them.

Decides which strings are the same name as OpenSSL decides it: case, repeated blanks and the kind of string do not
count.  `<hash>.0`, `<hash>.signing_policy` and `<hash>.r0` of a CA are found by its subject this way, by both ends and
without loading cryptography.  Rendering is `authsvc.dn`'s.  Pure; malformed input is a ValueError.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from authsvc import der
from authsvc.dn import Part

_VERSION: Final = 0xA0
# How each kind of string in a name is written: UTF8, Numeric, Printable, Teletex, IA5, Visible, Universal, BMP.
_ENCODINGS: Final = {
    0x0C: "utf-8",
    0x12: "ascii",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
# OpenSSL leaves numeric strings out of its canonical form; nobody writes names with them.
_CANONICAL: Final = frozenset(_ENCODINGS) - {0x12}
_BLANKS: Final = re.compile(rb"[ \t\n\v\f\r]+")


def issuer_and_subject(certificate: bytes) -> tuple[bytes, bytes]:
    """Return the issuer's and the subject's name of a certificate in DER, each in DER."""
    tbs, _ = der.take(der.only(certificate, der.SEQUENCE), der.SEQUENCE)
    if tbs[:1] == bytes([_VERSION]):
        _, tbs = der.take(tbs, _VERSION)
    _, tbs = der.take(tbs, der.INTEGER)
    _, tbs = der.take(tbs, der.SEQUENCE)
    issuer, tbs = der.take(tbs, der.SEQUENCE)
    _, tbs = der.take(tbs, der.SEQUENCE)
    subject, _ = der.take(tbs, der.SEQUENCE)
    return der.wrap(der.SEQUENCE, issuer), der.wrap(der.SEQUENCE, subject)


def parts(name: bytes) -> list[list[Part]]:
    """Return a name's parts for `authsvc.dn.render`."""
    rdns = der.children(der.only(name, der.SEQUENCE), der.SET)
    return [[(kind, _text(tag, value)) for kind, tag, value in _attributes(rdn)] for rdn in rdns]


def canonical(name: bytes) -> bytes:
    """Return the bytes that all spellings of one name have in common, as OpenSSL compares names."""
    out = b""
    for rdn in der.children(der.only(name, der.SEQUENCE), der.SET):
        attributes = [
            der.wrap(der.SEQUENCE, der.wrap(der.OID, der.encode_oid(kind)) + _canonical_value(tag, value))
            for kind, tag, value in _attributes(rdn)
        ]
        out += der.wrap(der.SET, b"".join(sorted(attributes)))
    return out


def _canonical_value(tag: int, value: bytes) -> bytes:
    if tag not in _CANONICAL:
        return der.wrap(tag, value)
    text = _BLANKS.sub(b" ", _text(tag, value).encode()).strip(b" ")
    # bytes.lower() folds ASCII only, which is what OpenSSL does.
    return der.wrap(der.UTF8_STRING, text.lower())


def name_hash(name: bytes) -> str:
    """Return the eight hex digits under which a CA directory files the CA of this name."""
    digest = hashlib.sha1(canonical(name), usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


def _attributes(rdn: bytes) -> list[tuple[str, int, bytes]]:
    found = []
    for attribute in der.children(rdn, der.SEQUENCE):
        kind, rest = der.take(attribute, der.OID)
        tag, value, rest = der.split(rest)
        if rest:
            raise ValueError("something follows the value of a name's part")
        found.append((der.decode_oid(kind), tag, value))
    if not found:
        raise ValueError("a part of a name is empty")
    return found


def _text(tag: int, value: bytes) -> str:
    # Bit strings as values exist on paper only; shown in hex an operator recognises them.
    return value.decode(_ENCODINGS[tag]) if tag in _ENCODINGS else value.hex()
