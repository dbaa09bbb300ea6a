"""The ProxyCertInfo extension of RFC 3820, as bytes and as a value.

Decides which encodings are accepted: exactly the DER of the RFC, nothing after it, no sloppy lengths.  Which policies
a server accepts is `authsvc.identity`'s.  Pure.
"""

from __future__ import annotations

from typing import Final

from authsvc import der
from fdtcp.value import dataclass

OID: Final = "1.3.6.1.5.5.7.1.14"
INHERIT_ALL: Final = "1.3.6.1.5.5.7.21.1"
INDEPENDENT: Final = "1.3.6.1.5.5.7.21.2"
# Globus's "limited": may do everything but start jobs; registered below Globus's own arc.
LIMITED: Final = "1.3.6.1.4.1.3536.1.1.1.9"


@dataclass(frozen=True, slots=True)
class ProxyCertInfo:
    """What a proxy certificate says of itself: its policy language, and how many proxies may follow (None: any)."""

    language: str
    path_length: int | None = None
    policy: bytes | None = None


def encode(info: ProxyCertInfo) -> bytes:
    """Write the extension's value in DER."""
    policy = der.wrap(der.OID, der.encode_oid(info.language))
    if info.policy is not None:
        policy += der.wrap(der.OCTETS, info.policy)
    body = der.wrap(der.SEQUENCE, policy)
    if info.path_length is not None:
        # One more bit than the number needs, so that the sign bit stays clear.
        number = info.path_length.to_bytes(info.path_length.bit_length() // 8 + 1, "big")
        body = der.wrap(der.INTEGER, number) + body
    return der.wrap(der.SEQUENCE, body)


def decode(value: bytes) -> ProxyCertInfo:
    """Read what `encode` makes.  Raises ValueError for anything else."""
    body = der.only(value, der.SEQUENCE)
    path_length = None
    if body[:1] == bytes([der.INTEGER]):
        number, body = der.take(body, der.INTEGER)
        if not number or number[0] & 0x80 or (len(number) > 1 and number[0] == 0 and not number[1] & 0x80):
            raise ValueError("the path length is not a proper number")
        # A path longer than any chain is no limit; keep the number small all the same.
        path_length = min(int.from_bytes(number, "big"), 1 << 16)
    body = der.only(body, der.SEQUENCE)
    language, rest = der.take(body, der.OID)
    policy = der.only(rest, der.OCTETS) if rest else None
    return ProxyCertInfo(der.decode_oid(language), path_length, policy)
