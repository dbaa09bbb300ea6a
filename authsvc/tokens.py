"""Bearer tokens of the WLCG profile: whether one holds, and which paths it leaves to its bearer.

Decides which tokens count: signed by a key of an issuer that the site lists, for an audience that it lists, within its
time.  A token comes beside the caller's certificate and never instead of it: who has none of the right scopes may do
nothing, who has some may do what his account may, below these paths.  So a stolen token is worth nothing by itself.

Nothing is fetched: the issuers' keys are files (JWKS, as the issuers publish them), read anew when they change.
PyJWT is an optional part of the installation, loaded if issuers are configured.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from authsvc.errors import TokenRefused
from fdtcp.errors import BadSettings
from fdtcp.value import dataclass

if TYPE_CHECKING:
    import jwt

_log: Final = logging.getLogger("authsvc.tokens")

# Asymmetric only: with HS256 whoever can check a token can make one.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
# WLCG profile 1.2: clocks may differ by so much.
LEEWAY_S: Final = 60
# As for certificates (authsvc.identity).
MIN_RSA_BITS: Final = 2048
# A scope for every dataset of a job and more.
MAX_SCOPES: Final = 256
_KEYS_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Issuer:
    """One issuer that the site accepts; its paths are below `base_path`."""

    url: str
    keys: str
    audiences: tuple[str, ...]
    base_path: str = "/"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token leaves to its bearer: paths to read and paths to write, each with all that is below it.

    `not_after` is when that ends, in epoch seconds.
    """

    issuer: str
    subject: str
    read: tuple[bytes, ...]
    modify: tuple[bytes, ...]
    not_after: float


class TokenJudge:
    """Judges the tokens of all connections; safe to use from all threads."""

    def __init__(self, issuers: Sequence[Issuer]) -> None:
        """Read the keys.  Raises BadSettings if PyJWT is not installed, or a key file cannot be used."""
        try:
            import jwt  # noqa: F401  # tried here, so that a daemon without it does not start
        except ImportError as exc:
            raise BadSettings(
                "[tokens]: bearer tokens need PyJWT", remedy="install it: pip install 'fdtcp[tokens]'"
            ) from exc
        self._issuers = {issuer.url: (issuer, _KeyFile(issuer.keys)) for issuer in issuers}

    def judge(self, token: str) -> Grant:
        """Return what the token allows.  Raises TokenRefused."""
        import jwt

        try:
            issuer, keys = self._find_issuer(token)
            key_id = jwt.get_unverified_header(token).get("kid")
            claims = jwt.decode(
                token,
                keys.find(key_id),
                algorithms=ALGORITHMS,
                audience=issuer.audiences,
                issuer=issuer.url,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            return _read_claims(issuer, claims)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as exc:
            raise TokenRefused(f"the bearer token does not hold: {exc}") from exc

    def _find_issuer(self, token: str) -> tuple[Issuer, _KeyFile]:
        import jwt

        url = jwt.decode(token, options={"verify_signature": False}).get("iss")
        found = self._issuers.get(url) if isinstance(url, str) else None
        if found is None:
            raise TokenRefused(f"the bearer token is from {str(url)[:200]!r}, which this site does not accept")
        return found


class _KeyFile:
    """The keys of one issuer as they are on disk now; while a new version is broken, the last good one stays."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._state: tuple[int, ...] = ()
        self._keys: dict[str | None, jwt.PyJWK] = {}
        try:
            self._reload()
        except (OSError, ValueError) as exc:
            raise BadSettings(f"[tokens] keys: cannot use {path}: {exc}") from exc

    def find(self, key_id: object) -> jwt.PyJWK:
        """Return the key that a token names; without a name, the only one there is."""
        with self._lock:
            try:
                self._reload()
            except (OSError, ValueError) as exc:
                _log.error("cannot use the keys %s (%s); the last good ones stay in use", self._path, exc)
            if key_id is None and len(self._keys) == 1:
                return next(iter(self._keys.values()))
            if not isinstance(key_id, str) or key_id not in self._keys:
                raise TokenRefused(f"the bearer token is signed with the key {str(key_id)[:80]!r}, unknown here")
            return self._keys[key_id]

    def _reload(self) -> None:
        status = os.stat(self._path)
        state = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
        if state == self._state:
            return
        if status.st_mode & 0o002:
            raise ValueError("anybody can change the file")
        # Noted before reading: a version that is bad is read once, and again when it changes.
        self._state = state
        with open(self._path, "rb") as file:
            self._keys = _parse_keys(file.read(_KEYS_BYTES))


def _parse_keys(content: bytes) -> dict[str | None, jwt.PyJWK]:
    """Read a JWKS; keys that cannot check signatures here are left out.  Raises ValueError if none is left."""
    import jwt

    document = json.loads(content)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("not a JSON web key set (a map with a list of keys)")
    keys: dict[str | None, jwt.PyJWK] = {}
    for one in listed:
        if not isinstance(one, dict) or one.get("kty") not in ("RSA", "EC", "OKP") or one.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(one)
        except jwt.PyJWTError as exc:
            raise ValueError(f"a key is malformed: {exc}") from exc
        if getattr(key.key, "key_size", MIN_RSA_BITS) < MIN_RSA_BITS and one["kty"] == "RSA":
            raise ValueError(f"the RSA key {one.get('kid')!r} has less than {MIN_RSA_BITS} bits")
        keys[one.get("kid")] = key
    if not keys:
        raise ValueError("it holds no key for signatures")
    return keys


def _read_claims(issuer: Issuer, claims: Mapping[str, Any]) -> Grant:  # Any: JSON
    scope = claims.get("scope", "")
    if not isinstance(scope, str):
        raise TokenRefused("the bearer token's scope is not text")
    words = scope.split(" ")
    if len(words) > MAX_SCOPES:
        raise TokenRefused(f"the bearer token has more than {MAX_SCOPES} scopes")
    return Grant(
        issuer.url,
        str(claims["sub"]),
        _paths(words, "storage.read", issuer.base_path),
        _paths(words, "storage.modify", issuer.base_path),
        float(claims["exp"]) + LEEWAY_S,
    )


def _paths(words: Sequence[str], kind: str, base: str) -> tuple[bytes, ...]:
    """Return the paths of the scopes of one kind.  Raises TokenRefused for one that climbs or cannot be a path."""
    found: list[bytes] = []
    for word in words:
        name, colon, path = word.partition(":")
        if name != kind or not colon:
            continue
        parts = urllib.parse.unquote_to_bytes(path).split(b"/")
        if not path or parts[0] or b".." in parts or any(b"\0" in part for part in parts):
            raise TokenRefused(f"the bearer token's scope {word[:200]!r} has no usable path")
        whole = [*os.fsencode(base).split(b"/"), *parts]
        found.append(b"/" + b"/".join(part for part in whole if part not in (b"", b".")))
    return tuple(found)
