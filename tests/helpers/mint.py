"""An issuer of bearer tokens: its keys, its published key set, and tokens good and bad."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ISSUER = "https://issuer.example.org/"
AUDIENCE = "https://se.example.org:8444"

Claims = dict[str, Any]  # Any: JSON


class Mint:
    """One key pair, and the file of its public half."""

    def __init__(self, directory: Path, *, kid: str | None = "key-1", bits: int = 0) -> None:
        self.key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
        if bits:
            self.key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        else:
            self.key = ec.generate_private_key(ec.SECP256R1())
        self.algorithm = "RS256" if bits else "ES256"
        self.kid = kid
        self.directory = directory
        self.keys = directory / "issuer.jwks"
        self.publish()

    def publish(self) -> None:
        """Write the key set as an issuer publishes it."""
        self.keys.write_text(json.dumps({"keys": [self.public()]}))

    def public(self) -> dict[str, Any]:  # Any: JSON
        """Return the public key as a JWK."""
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        jwk: dict[str, Any] = json.loads(algorithm.to_jwk(self.key.public_key()))  # Any: JSON
        return jwk | ({"kid": self.kid} if self.kid else {})

    def token(
        self, scope: str = "", *, algorithm: str | None = None, headers: Claims | None = None, **more: Any
    ) -> str:
        """Sign a token; `more` are claims that replace the good ones, None leaves one out."""
        now = int(time.time())
        claims: Claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "somebody",
            "iat": now,
            "nbf": now,
            "exp": now + 600,
            "scope": scope,
            "wlcg.ver": "1.0",
        } | more
        claims = {name: value for name, value in claims.items() if value is not None}
        headers = headers if headers is not None else ({"kid": self.kid} if self.kid else {})
        return jwt.encode(claims, self.key, algorithm or self.algorithm, headers=headers)

    def file(self, name: str, scope: str, **more: Any) -> Path:  # Any: JSON
        """Write a token where only its owner can read it."""
        path = self.directory / name
        path.touch(0o600)
        path.write_text(self.token(scope, **more) + "\n")
        return path


def unsigned(claims: Claims, header: Claims) -> str:
    """Make what only looks like a token."""
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in (header, claims)]
    return ".".join([*parts, "AAAA"])
