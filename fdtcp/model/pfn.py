"""Physical file names: fdt://host:port/path, as bytes, because a POSIX name need not be text.

Decides what a Pfn may look like and which daemon it names.  The text is kept byte for byte: a caller looks for its own
spelling in the report.  Nothing is decoded: a `%20` in a Pfn is three characters of the file's name, as it was for the
ancestor.  Whether the path may be touched is for the daemon to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from fdtcp.errors import BadPfn

SCHEME: Final = b"fdt"
# Where fdtd takes commands unless it is told otherwise.
DEFAULT_PORT: Final = 8444
# The kernel's PATH_MAX with its closing NUL; no call with a longer path can succeed.
MAX_PATH_BYTES: Final = 4095

_SPLIT = re.compile(rb"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/]*)(?P<path>/.*)?", re.DOTALL)
_AUTHORITY = re.compile(rb"(?:\[(?P<address>[^\]]*)\]|(?P<name>[^\[\]:]*))(?::(?P<port>[0-9]{0,9}))?")
# Letters, digits, hyphens and dots (RFC 1123), and the underscore that some site networks use.
_NAME = re.compile(rb"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?")
_HEX_GROUPS = re.compile(rb"[0-9A-Fa-f:.]{2,45}")


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where a daemon takes commands: a lower-case name or numeric address without brackets, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Write it as in a Pfn: brackets around IPv6."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Pfn:
    """A file at a daemon; `text` is what the user wrote, `path` what the daemon is asked for.

    `path` begins with exactly one slash: `//path`, which some catalogues write, is the same file to Linux.
    """

    text: bytes
    address: Address = field(compare=False)
    path: bytes = field(compare=False)

    @classmethod
    def parse(cls, text: bytes) -> Pfn:
        """Read a Pfn.  Raises BadPfn that says what is allowed."""
        match = _SPLIT.fullmatch(text)
        if match is None:
            raise BadPfn(f"{_short(text)} names no host; local files are not moved, both ends are daemons")
        if match["scheme"].lower() != SCHEME:
            raise BadPfn(f"{_short(text)}: the scheme {show(match['scheme'])} is not ours, only fdt:// is")
        path = match["path"]
        if path is None or not path.strip(b"/"):
            raise BadPfn(f"{_short(text)} has no path")
        try:
            return cls(text, parse_authority(match["authority"]), _parse_path(path))
        except ValueError as exc:
            raise BadPfn(f"{_short(text)}: {exc}") from exc

    @property
    def place(self) -> tuple[Address, bytes]:
        """What two spellings of the same file have in common, as far as can be said from here."""
        path = self.path
        return self.address, re.sub(rb"/(?:\.?/)+", b"/", path) if b"//" in path or b"/./" in path else path

    def __str__(self) -> str:
        """Write it for people."""
        return show(self.text)


def show(text: bytes) -> str:
    """Return `text` for messages: what is not UTF-8 or not printable becomes an escape."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii")
        for c in text.decode("utf-8", "backslashreplace")
    )


def _short(text: bytes) -> str:
    # Room for the reason behind it, which has to fit into one line, too.
    shown = show(text)
    return shown if len(shown) <= 200 else shown[:199] + "…"


# A list of a million files names a handful of daemons.
@lru_cache(maxsize=256)
def parse_authority(authority: bytes) -> Address:
    """Read host:port.  Raises ValueError that says what is wrong."""
    if b"@" in authority:
        raise ValueError("no user name in a Pfn; the certificate says who you are")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise ValueError(f"{show(authority)} is not host:port (IPv6 addresses go in brackets)")
    port = int(match["port"]) if match["port"] else DEFAULT_PORT
    if not 0 < port < 65536:
        raise ValueError("the port must be 1 to 65535")
    if match["address"] is not None:
        return Address(_parse_ipv6(match["address"]), port)
    if not _NAME.fullmatch(match["name"]):
        raise ValueError(f"{show(match['name'])!r} is not the name of a host")
    return Address(match["name"].decode("ascii").lower(), port)


def _parse_ipv6(text: bytes) -> str:
    # Seldom needed, and one import less for everybody else.
    from ipaddress import IPv6Address

    try:
        if not _HEX_GROUPS.fullmatch(text):
            raise ValueError
        return str(IPv6Address(text.decode("ascii")))
    except ValueError as exc:
        raise ValueError(f"[{show(text)}] is not an IPv6 address") from exc


def _parse_path(path: bytes) -> bytes:
    path = b"/" + path.lstrip(b"/")
    if b"\0" in path:
        raise ValueError("a path holds no NUL")
    if path.rpartition(b"/")[2] in (b"", b".", b".."):
        raise ValueError("it names a directory; the files are named one by one")
    if len(path) > MAX_PATH_BYTES:
        raise ValueError(f"the path has {len(path)} bytes; the limit is {MAX_PATH_BYTES}")
    return path
