"""The user's bearer token: where it is found, and whether the file may be used.

Decides by the rules of the WLCG Bearer Token Discovery, which other grid tools follow too.  It only looks when the user
asks for it: whoever gets a bearer token can use it, and here one can only take rights away, never give any.  What a
token says is the daemon's to judge (`authsvc.tokens`).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from typing import Final

from authsvc.errors import BadToken

# What the user says instead of a file's name.
DISCOVER: Final = "discover"
# The hello that carries it has 16 KiB.
MAX_TOKEN_BYTES: Final = 12 << 10
# RFC 7515, compact form: three parts of base64url.
_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def find_token(named: str, environ: Mapping[str, str], uid: int) -> str:
    """Return the token from the file `named`, or by discovery.  Raises BadToken that says where it was looked for.

    Discovery takes the first of $BEARER_TOKEN (the token itself), $BEARER_TOKEN_FILE, $XDG_RUNTIME_DIR/bt_u<uid> and
    /tmp/bt_u<uid> that is there.
    """
    if named != DISCOVER:
        return _read(named, uid)
    if environ.get("BEARER_TOKEN"):
        return _check(environ["BEARER_TOKEN"], "$BEARER_TOKEN")
    if environ.get("BEARER_TOKEN_FILE"):
        return _read(environ["BEARER_TOKEN_FILE"], uid)
    places = [f"{environ['XDG_RUNTIME_DIR']}/bt_u{uid}"] if environ.get("XDG_RUNTIME_DIR") else []
    places.append(f"/tmp/bt_u{uid}")  # noqa: S108  # where the discovery rules put it
    for path in places:
        if os.path.lexists(path):
            return _read(path, uid)
    raise BadToken(
        f"there is no bearer token: BEARER_TOKEN and BEARER_TOKEN_FILE are not set, and there is no {places[-1]}",
        remedy="get one from your issuer, or name its file with --token",
    )


def _read(path: str, uid: int) -> str:
    try:
        # O_NOFOLLOW: in /tmp a symlink may be somebody else's.  O_NONBLOCK: a pipe must not hold us up.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise BadToken(f"the token {path} is not a regular file")
            content = file.read(MAX_TOKEN_BYTES + 1)
    except OSError as exc:
        raise BadToken(f"cannot read the token {path}: {exc.strerror}", remedy="name the file itself") from exc
    if status.st_uid not in (uid, 0) or status.st_mode & 0o077:
        raise BadToken(
            f"the token {path} is not yours alone (owner {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o})",
            remedy=f"chmod 600 {path}",
        )
    return _check(content.decode("ascii", "replace"), path)


def _check(text: str, where: str) -> str:
    token = text.strip()
    if len(token) > MAX_TOKEN_BYTES or not _FORM.fullmatch(token):
        raise BadToken(f"what {where} holds is not a signed JSON web token")
    return token
