"""The directory of trusted CAs: where it is, and whether it can be used at all.

Decides nothing about a single CA: OpenSSL finds those by their subject's hash (`<hash>.0`) in this directory and in no
other place; the system's own CAs are never trusted.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from typing import Final

from authsvc.errors import BadTrust

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


def state_of(path: str) -> tuple[int, int, int]:
    """Return a value that changes when files come to or go from the directory: contexts are made anew then."""
    try:
        status = os.stat(path)
    except OSError as exc:
        raise BadTrust(f"cannot read the directory of CA certificates {path}: {exc.strerror}") from exc
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns
