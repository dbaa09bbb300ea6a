"""When a certificate file ends, and the words for it: the same at a daemon's start, in its log, in fdtcp and in check.

Decides from when on somebody is told.  Reads no more of a certificate than its dates, with the standard library alone:
fdtcp asks at each start, where a cryptographic library would cost more than the whole handshake.
"""

from __future__ import annotations

import calendar
import ssl
import time
from typing import Final

from authsvc import der
from authsvc.credentials import MAX_FILE_BYTES, Credential
from authsvc.errors import CredentialExpired

# CAs need days to issue a new host certificate, and people go on holidays.
HOST_WARN_S: Final = 14 * 86400.0
HOST_CRITICAL_S: Final = 3 * 86400.0
# A transfer is often longer; the client can go on with a renewed proxy, but not without one.
PROXY_WARN_S: Final = 600.0

_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def first_end(path: str) -> float:
    """Return the first end of all certificates in a PEM file, in epoch seconds.

    Raises OSError, or ValueError if there is none that can be read; why, `authsvc.credentials.explain` tells better.
    """
    with open(path, "rb") as file:
        text = file.read(MAX_FILE_BYTES).decode("ascii", "replace")
    pieces = text.split(_BEGIN)[1:]
    ends = [_end(ssl.PEM_cert_to_DER_cert(f"{_BEGIN}{piece.partition(_END)[0]}{_END}")) for piece in pieces]
    if not ends:
        raise ValueError(f"{path} holds no certificate")
    return min(ends)


def describe(what: str, path: str, end: float, now: float) -> str:
    """Say when it ends, or that it has: "the proxy /tmp/x509up_u1 ends in 9 minutes (2026-11-22 15:04 UTC)"."""
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(end))
    if end <= now:
        return f"the {what} {path} expired at {when}"
    return f"the {what} {path} ends in {_span(end - now)} ({when})"


def warning(credential: Credential, now: float) -> str | None:
    """Return what to tell about a credential that ends soon, None while there is time.

    Raises CredentialExpired.  A file that cannot be read is somebody else's to complain about.
    """
    what, patience = ("proxy", PROXY_WARN_S) if credential.is_proxy_file else ("certificate", HOST_WARN_S)
    remedy = credential.another
    try:
        end = first_end(credential.cert_path)
    except (OSError, ValueError):
        return None
    if end <= now:
        raise CredentialExpired(describe(what, credential.cert_path, end, now), remedy=remedy)
    return f"{describe(what, credential.cert_path, end, now)}; {remedy}" if end - now < patience else None


def _span(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} seconds"


def _end(certificate: bytes) -> float:
    """Return notAfter (RFC 5280, 4.1.2.5)."""
    tbs, _ = der.take(der.only(certificate, der.SEQUENCE), der.SEQUENCE)
    if tbs[:1] == bytes([_VERSION]):
        _, tbs = der.take(tbs, _VERSION)
    _, tbs = der.take(tbs, der.INTEGER)
    _, tbs = der.take(tbs, der.SEQUENCE)  # the algorithm
    _, tbs = der.take(tbs, der.SEQUENCE)  # the issuer
    dates, _ = der.take(tbs, der.SEQUENCE)
    _, _, rest = der.split(dates)
    tag, value, _ = der.split(rest)
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        # Two digits of a year: 50 to 99 are of the last century.
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("a date is of another kind")
    return float(calendar.timegm(time.strptime(text, "%Y%m%d%H%M%SZ")))
