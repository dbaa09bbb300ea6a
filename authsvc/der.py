"""The little of DER that is needed without a library: splitting elements, and object identifiers.

A client looks at names in certificates in every connection; cryptography costs it 30 ms to load, this file nothing.
Pure; every malformed input is a ValueError.
"""

from __future__ import annotations

from typing import Final

INTEGER: Final = 0x02
OCTETS: Final = 0x04
OID: Final = 0x06
UTF8_STRING: Final = 0x0C
SEQUENCE: Final = 0x30
SET: Final = 0x31

# Four digits of length make 4 GB; nothing that we read has more than three.
_MAX_LENGTH_BYTES: Final = 3


def take(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Split the first element, which must have `tag`, from the rest; lengths must be in DER's shortest form."""
    found, content, rest = split(data)
    if found != tag:
        raise ValueError("an element is of another kind")
    return content, rest


def split(data: bytes) -> tuple[int, bytes, bytes]:
    """Return the first element's tag and content, and what follows it."""
    if len(data) < 2 or data[0] & 0x1F == 0x1F:
        raise ValueError("an element is missing or of an unknown kind")
    length, start = data[1], 2
    if length & 0x80:
        digits = length & 0x7F
        start = 2 + digits
        length = int.from_bytes(data[2:start], "big")
        if not 1 <= digits <= _MAX_LENGTH_BYTES or len(data) < start or length < 0x80 or data[2] == 0:
            raise ValueError("a length is not in its shortest form")
    end = start + length
    if len(data) < end:
        raise ValueError("an element is cut off")
    return data[0], data[start:end], data[end:]


def only(data: bytes, tag: int) -> bytes:
    """Return the content of the one element that there is."""
    content, rest = take(data, tag)
    if rest:
        raise ValueError("something follows where nothing may")
    return content


def children(content: bytes, tag: int) -> list[bytes]:
    """Return the contents of the elements side by side in `content`, all of which must have `tag`."""
    found: list[bytes] = []
    while content:
        item, content = take(content, tag)
        found.append(item)
    return found


def wrap(tag: int, content: bytes) -> bytes:
    """Write one element."""
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def encode_oid(dotted: str) -> bytes:
    """Write the content of an object identifier."""
    first, second, *others = (int(arc) for arc in dotted.split("."))
    out = bytearray()
    for arc in (first * 40 + second, *others):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        out += bytes(reversed(groups))
    return bytes(out)


def decode_oid(content: bytes) -> str:
    """Read the content of an object identifier."""
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
