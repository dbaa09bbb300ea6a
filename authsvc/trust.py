"""The directory of trusted CAs: where it is, and whether it can be used at all.

Decides nothing about a single CA: OpenSSL finds those by their subject's hash (`<hash>.0`) in this directory and in no
other place; the system's own CAs are never trusted.  What each may sign is `authsvc.authorities`'.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from typing import Final

from authsvc.errors import BadTrust
from authsvc.watchedfile import Version

DEFAULT_CA_DIR: Final = "/etc/grid-security/certificates"
_CA_FILE: Final = re.compile(r"[0-9a-f]{8}\.\d+")


def find_ca_dir(explicit: str | None, environ: Mapping[str, str]) -> str:
    """Return the directory: the one named, else $X509_CERT_DIR, else /etc/grid-security/certificates."""
    return explicit or environ.get("X509_CERT_DIR") or DEFAULT_CA_DIR


def check_ca_dir(path: str) -> None:
    """Raise BadTrust for a directory that cannot be read, that anybody can change, or that holds no CA.

    OpenSSL itself would say nothing about any of these.
    """
    try:
        names = os.listdir(path)
        mode = os.stat(path).st_mode
    except OSError as exc:
        raise BadTrust(f"cannot read the directory of CA certificates {path}: {exc.strerror}") from exc
    if mode & stat.S_IWOTH:
        raise BadTrust(f"anybody can add CAs to the directory {path}", remedy=f"chmod o-w {path}")
    if not any(_CA_FILE.fullmatch(name) for name in names):
        raise BadTrust(f"the directory of CA certificates {path} holds none (files named <hash>.0)")


def state_of(path: str) -> int:
    """Return a value that changes when a file comes to the directory or goes, and when a CA is changed in place.

    Contexts are made anew then.  OpenSSL keeps the CAs that it has read, so a look at the directory alone is not
    enough; the other files are looked at when they are used.  It costs 1 ms with all CAs of IGTF.
    """
    try:
        names = sorted(filter(_CA_FILE.fullmatch, os.listdir(path)))
    except OSError as exc:
        raise BadTrust(f"cannot read the directory of CA certificates {path}: {exc.strerror}") from exc
    return hash(tuple(_version(os.path.join(path, name)) for name in ("", *names)))


def _version(path: str) -> tuple[str, Version | None]:
    try:
        # Through symlinks: IGTF's <hash>.0 are links to files with readable names.
        return path, Version.of(os.stat(path))
    except OSError:
        return path, None
