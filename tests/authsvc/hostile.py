"""Certificates that no honest CA or tool makes, for the daemon to refuse.

`Forge` signs whatever it is told to.  All keys are shared: nothing here depends on keys being different.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from authsvc import ca, proxycert
from authsvc.credentials import Credential
from authsvc.proxycert import ProxyCertInfo, encode
from tests.helpers.pki import Pki

PCI = x509.ObjectIdentifier(proxycert.OID)
INHERIT = encode(ProxyCertInfo(proxycert.INHERIT_ALL))
SHA256_WITH_RSA = bytes.fromhex("06092a864886f70d01010b")
SHA1_WITH_RSA = bytes.fromhex("06092a864886f70d010105")
HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Plan:
    """What one certificate says; the defaults make an honest proxy."""

    cns: tuple[str, ...] = ("12345",)
    start: dt.timedelta = -HOUR
    end: dt.timedelta = HOUR
    pci: bytes | None = INHERIT
    pci_critical: bool = True
    pci_oid: str = proxycert.OID
    digital_signature: bool = True
    ca: bool | None = None
    san: str | None = None
    client_auth: bool | None = None
    name: x509.Name | None = None
    issuer: x509.Name | None = None
    key: rsa.RSAPrivateKey | None = None
    extra: Sequence[x509.ExtensionType] = field(default_factory=tuple)


class Forge:
    """Makes chains below the test CA's user."""

    def __init__(self, pki: Pki) -> None:
        self.pki = pki
        chain, self.user_key = ca.load(pki.user)
        self.user = chain[0]
        self.ca_certificate, self.ca_key = ca._load_ca(pki.lab)
        self.key = pki.proxy_key

    def sign(self, plan: Plan, parent: x509.Certificate, parent_key: rsa.RSAPrivateKey) -> x509.Certificate:
        """Make one certificate below `parent`."""
        now = dt.datetime.now(dt.UTC)
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, cn) for cn in plan.cns]
        name = plan.name or x509.Name(
            [*parent.subject.rdns, *(x509.RelativeDistinguishedName([a]) for a in attributes)]
        )
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(plan.issuer or parent.subject)
        builder = builder.public_key((plan.key or self.key).public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now + plan.start).not_valid_after(now + plan.end)
        usage = x509.KeyUsage(plan.digital_signature, False, True, False, False, False, False, False, False)
        builder = builder.add_extension(usage, critical=True)
        if plan.pci is not None:
            extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(plan.pci_oid), plan.pci)
            builder = builder.add_extension(extension, critical=plan.pci_critical)
        if plan.ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(plan.ca, None), critical=True)
        if plan.san is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([ca._general_name(plan.san)]), critical=False)
        if plan.client_auth is not None:
            use = ExtendedKeyUsageOID.CLIENT_AUTH if plan.client_auth else ExtendedKeyUsageOID.SERVER_AUTH
            builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        for item in plan.extra:
            builder = builder.add_extension(item, critical=False)
        return builder.sign(parent_key, hashes.SHA256())

    def below_user(self, *plans: Plan) -> list[x509.Certificate]:
        """Make a chain of proxies below the user, the first plan nearest to him; returned leaf first."""
        chain = [self.user]
        key = self.user_key
        for plan in plans:
            chain.insert(0, self.sign(plan, chain[0], key))
            key = plan.key or self.key
        return chain

    def user_like(self, plan: Plan) -> x509.Certificate:
        """Make an end-entity certificate signed by the CA."""
        return self.sign(plan, self.ca_certificate, self.ca_key)

    def store(self, chain: Sequence[x509.Certificate], key: rsa.RSAPrivateKey | None = None) -> Credential:
        path = os.path.join(self.pki.directory, f"hostile-{x509.random_serial_number():x}.proxy")
        return self.pki.store(path, chain, key or self.key)

    def patched(
        self, certificate: x509.Certificate, old: bytes, new: bytes, key: rsa.RSAPrivateKey
    ) -> x509.Certificate:
        """Change bytes (of the same length) in a certificate and sign it anew: for what no library will write."""
        tbs = certificate.tbs_certificate_bytes
        assert len(old) == len(new)
        assert tbs.count(old) == 1
        tbs = tbs.replace(old, new)
        weak = new == SHA1_WITH_RSA
        signature = key.sign(tbs, padding.PKCS1v15(), hashes.SHA1() if weak else hashes.SHA256())  # noqa: S303  # on purpose
        algorithm = b"\x30\x0d" + (SHA1_WITH_RSA if weak else SHA256_WITH_RSA) + b"\x05\x00"
        return x509.load_der_x509_certificate(_wrap(0x30, tbs + algorithm + _wrap(0x03, b"\0" + signature)))


def name_of(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _wrap(tag: int, content: bytes) -> bytes:
    length = len(content).to_bytes(2, "big")
    return bytes([tag, 0x82]) + length + content
