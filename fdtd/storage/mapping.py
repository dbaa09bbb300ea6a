"""Which back end the site has put behind which directory: `[storage]` of fdtd.conf.

Decides the words for back ends and which prefix of a path counts: the longest.  It looks at the path alone, so the
user's URL never chooses a back end, and no scheme that a site has not written down can be reached.  Pure: the daemon
checks its configuration with it, the mover enforces what the daemon has sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from fdtcp.model.order import Mapped
from fdtcp.value import dataclass
from fdtd.storage.paths import split_path

# A part of the file system as any other (below a directory that is mapped to something else).
POSIX: Final = "posix"
# A mounted file system that takes a file's bytes in order only.
SEQUENTIAL: Final = "sequential"

# Schemes that fsspec serves here, each with the options that a site may give behind a question mark.  Credentials are
# not among them: fdtd.conf is the site's, credentials are the account's (docs/howto-storage.md).
SCHEMES: Final[Mapping[str, frozenset[str]]] = {
    "memory": frozenset(),
    "s3": frozenset({"endpoint", "region"}),
    "webhdfs": frozenset({"https", "kerberos"}),
}


@dataclass(frozen=True, slots=True)
class Target:
    """What a back end's URL says: `base` is where the prefix lies in the store, without a slash at its end."""

    scheme: str
    host: str
    port: int  # 0: the scheme's usual one
    base: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads: the back end as configured, and what of the path lies below its prefix."""

    backend: str
    rest: tuple[bytes, ...]


class PrefixMap:
    """The whole section; spelling of paths (doubled slashes, single dots) makes no difference."""

    def __init__(self, mapped: Sequence[Mapped]) -> None:
        self._by_length = sorted(
            ((split_path(one.prefix), one.backend) for one in mapped), key=lambda one: -len(one[0])
        )

    def find(self, path: bytes) -> Place | None:
        """Return where `path` leads, None if it is an ordinary file's.  Raises PathRefused for what is no path."""
        if not self._by_length:
            return None
        parts = split_path(path)
        for prefix, backend in self._by_length:
            if len(parts) > len(prefix) and parts[: len(prefix)] == prefix:
                return None if backend == POSIX else Place(backend, parts[len(prefix) :])
        return None


def parse_backend(text: str) -> str:
    """Read one value of the section.  Raises ValueError with what is allowed."""
    if text not in (POSIX, SEQUENTIAL):
        parse_target(text)
    return text


def parse_target(text: str) -> Target:
    """Read a back end's URL.  Raises ValueError with what is allowed."""
    url = urlsplit(text)
    allowed = SCHEMES.get(url.scheme)
    if allowed is None or "://" not in text:
        known = ", ".join((POSIX, SEQUENTIAL, *(f"{scheme}://" for scheme in sorted(SCHEMES))))
        raise ValueError(f"{text!r} is no storage back end; known are {known}")
    if url.username is not None or url.password is not None or url.fragment:
        raise ValueError(f"{url.scheme}://: no accounts, passwords or fragments: credentials are the mapped account's")
    if not url.hostname and url.scheme != "memory":
        what = "s3://BUCKET/ABOVE" if url.scheme == "s3" else "webhdfs://NAMENODE:9870/ABOVE"
        raise ValueError(f"{text!r} names no server or bucket: write for example {what}")
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    if unknown := options.keys() - allowed:
        raise ValueError(f"{text!r}: unknown option {min(unknown)!r}")
    if ".." in url.path.split("/"):
        raise ValueError(f"{text!r}: .. leads out")
    # Not hostname, which is lower case: some buckets' names are not.
    host = url.netloc if url.scheme == "s3" else url.hostname or ""
    base = "/".join(part for part in url.path.split("/") if part not in ("", "."))
    return Target(url.scheme, host, (url.port or 0) if url.scheme != "s3" else 0, base, options)
