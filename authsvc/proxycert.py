"""The ProxyCertInfo extension of RFC 3820, as bytes and as a value.

Decides which encodings are accepted: exactly the DER of the RFC, nothing after it, no sloppy lengths.  Which policies
a server accepts is `authsvc.identity`'s.  Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OID: Final = "1.3.6.1.5.5.7.1.14"
INHERIT_ALL: Final = "1.3.6.1.5.5.7.21.1"
INDEPENDENT: Final = "1.3.6.1.5.5.7.21.2"
# Globus's "limited": may do everything but start jobs; registered below Globus's own arc.
LIMITED: Final = "1.3.6.1.4.1.3536.1.1.1.9"

_INTEGER, _OCTETS, _OID_TAG, _SEQUENCE = 0x02, 0x04, 0x06, 0x30


@dataclass(frozen=True, slots=True)
class ProxyCertInfo:
    """What a proxy certificate says of itself: its policy language, and how many proxies may follow (None: any)."""

    language: str
    path_length: int | None = None
    policy: bytes | None = None


def encode(info: ProxyCertInfo) -> bytes:
    """Write the extension's value in DER."""
    policy = _wrap(_OID_TAG, _encode_oid(info.language))
    if info.policy is not None:
        policy += _wrap(_OCTETS, info.policy)
    body = _wrap(_SEQUENCE, policy)
    if info.path_length is not None:
        # One more bit than the number needs, so that the sign bit stays clear.
        number = info.path_length.to_bytes(info.path_length.bit_length() // 8 + 1, "big")
        body = _wrap(_INTEGER, number) + body
    return _wrap(_SEQUENCE, body)


def decode(der: bytes) -> ProxyCertInfo:
    """Read what `encode` makes.  Raises ValueError for anything else."""
    body = _only(der, _SEQUENCE)
    path_length = None
    if body[:1] == bytes([_INTEGER]):
        number, body = _take(body, _INTEGER)
        if not number or number[0] & 0x80 or (len(number) > 1 and number[0] == 0 and not number[1] & 0x80):
            raise ValueError("the path length is not a proper number")
        # A path longer than any chain is no limit; keep the number small all the same.
        path_length = min(int.from_bytes(number, "big"), 1 << 16)
    body = _only(body, _SEQUENCE)
    language, rest = _take(body, _OID_TAG)
    policy = _only(rest, _OCTETS) if rest else None
    return ProxyCertInfo(_decode_oid(language), path_length, policy)


def _take(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Split the first element, which must have `tag`, from the rest; lengths must be in DER's shortest form."""
    if len(data) < 2 or data[0] != tag:
        raise ValueError("an element is missing or of another kind")
    length, start = data[1], 2
    if length & 0x80:
        digits = length & 0x7F
        start = 2 + digits
        length = int.from_bytes(data[2:start], "big")
        if not 1 <= digits <= 3 or len(data) < start or length < 0x80 or data[2] == 0:
            raise ValueError("a length is not in its shortest form")
    end = start + length
    if len(data) < end:
        raise ValueError("an element is cut off")
    return data[start:end], data[end:]


def _only(data: bytes, tag: int) -> bytes:
    content, rest = _take(data, tag)
    if rest:
        raise ValueError("something follows where nothing may")
    return content


def _wrap(tag: int, content: bytes) -> bytes:
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _encode_oid(dotted: str) -> bytes:
    first, second, *others = (int(arc) for arc in dotted.split("."))
    out = bytearray()
    for arc in (first * 40 + second, *others):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        out += bytes(reversed(groups))
    return bytes(out)


def _decode_oid(content: bytes) -> str:
    if not content or content[-1] & 0x80:
        raise ValueError("an object identifier is cut off")
    arcs: list[int] = []
    value = 0
    fresh = True
    for byte in content:
        if fresh and byte == 0x80:
            raise ValueError("an object identifier is not in its shortest form")
        value = value << 7 | byte & 0x7F
        fresh = not byte & 0x80
        if fresh:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(str(arc) for arc in (first, arcs[0] - first * 40, *arcs[1:]))
