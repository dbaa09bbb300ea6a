"""Lists of revoked certificates for the test CA: honest, stale, partial, and forged ones."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from authsvc import ca
from authsvc.credentials import Credential
from tests.helpers.pki import Pki

HOUR = dt.timedelta(hours=1)
CRITICAL = "1.2.3.4.5"


@cache
def authority(pki: Pki) -> tuple[x509.Certificate, ca.Key]:
    """Return a CA's certificate and key; checking a key costs 0.2 s each time."""
    return ca._load_ca(pki.lab)


@cache
def leaf(credential: Credential) -> x509.Certificate:
    """Return the first certificate of a credential."""
    with open(credential.cert_path, "rb") as file:
        return x509.load_pem_x509_certificate(file.read())


class Revoker:
    """Writes `<hash>.r0` of a lab CA."""

    def __init__(self, pki: Pki) -> None:
        self.certificate, self.key = authority(pki)
        self.stem = os.path.join(pki.certificates, ca.subject_hash(self.certificate))
        self.path = Path(f"{self.stem}.r0")
        self.policy = Path(f"{self.stem}.signing_policy")

    def make(
        self,
        revoked: Sequence[x509.Certificate] = (),
        *,
        start: dt.timedelta = -HOUR,
        end: dt.timedelta = HOUR,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
        key: ca.Key | None = None,
        issuer: x509.Name | None = None,
    ) -> x509.CertificateRevocationList:
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(issuer or self.certificate.subject)
        builder = builder.last_update(now + start).next_update(now + end)
        for certificate in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(now - HOUR).build())
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(key or self.key, hashes.SHA256())

    def write(self, crl: x509.CertificateRevocationList, path: Path | None = None) -> None:
        (path or self.path).write_bytes(crl.public_bytes(Encoding.PEM))

    def revoke(self, *certificates: x509.Certificate) -> None:
        self.write(self.make(certificates))
