"""The credential of one job's encrypted streams: a key and a certificate that nobody else ever has.

Decides what the certificate says, which is nothing: both sides know it by its fingerprint, which travels over the
control channel.  The key goes to the listening mover through its pipe, and is forgotten here with that line.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "one job of fdtd")])
# No clock decides about it, and jobs may last for weeks: it lives as long as the key does.
_ALWAYS: Final = (dt.datetime(2000, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, tzinfo=dt.UTC))


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """Key and certificate as PEM, and the SHA-256 of the certificate."""

    credential: bytes = field(repr=False)
    fingerprint: bytes


def make_ephemeral() -> Ephemeral:
    """Make one; 0.1 ms of CPU."""
    # P-256: the only curve whose signatures cost next to nothing in every OpenSSL.
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_ALWAYS[0])
        .not_valid_after(_ALWAYS[1])
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    der = certificate.public_bytes(serialization.Encoding.DER)
    return Ephemeral(secret + certificate.public_bytes(pem), hashlib.sha256(der).digest())
