"""Attributes that a VO vouches for: whether the attribute certificates in a proxy hold.

Decides what must be true before an attribute counts: it is the holder's own, in its time, meant for this host, of the
VO that signed it; the signer is the server that the site expects (`.lsc`), its chain leads into the CA directory and
through the same signing policies and CRLs as everybody's.  All or nothing: without its first attribute a caller could
end in another account.  What becomes of a caller whose attributes do not hold is `authsvc.recognition`'s.

Only the attributes of the outermost proxy that carries some count, as with the VOMS tools.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from OpenSSL import crypto

from authsvc import attributecert
from authsvc.attributecert import AttributeCertificate
from authsvc.authorities import Authorities
from authsvc.certname import canonical
from authsvc.identity import IdentityRules, check_strength, proxy_info, subject_dn
from authsvc.lsc import VomsDir
from fdtcp.errors import FdtError

_EXTENSION: Final = x509.ObjectIdentifier(attributecert.OID)
# Clocks of the VO's server and ours differ.
_SKEW: Final = dt.timedelta(minutes=5)
_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


class BadAttributes(Exception):
    """The attributes do not hold; the text says why."""


class Attributes:
    """Reads the attributes of callers of one daemon; safe to use from all threads."""

    def __init__(
        self, voms_dir: str, ca_dir: str, authorities: Authorities, rules: IdentityRules, host_certificate: str
    ) -> None:
        """`host_certificate` is the daemon's own, in whose names attributes may be meant for it."""
        self._voms_dir = VomsDir(voms_dir)
        self._ca_dir = ca_dir
        self._authorities = authorities
        self._rules = rules
        self._host_certificate = host_certificate

    def read(self, chain: Sequence[bytes], now: float) -> tuple[tuple[str, ...], float]:
        """Return the attributes in a chain of proxies and their user's certificate, and until when they hold.

        Raises BadAttributes.
        """
        try:
            certificates = [x509.load_der_x509_certificate(der) for der in chain]
            fqans: dict[str, None] = {}
            end = float("inf")
            for item in attributecert.parse(_outermost(certificates)):
                self._check(item, certificates[-1], dt.datetime.fromtimestamp(now, dt.UTC))
                fqans |= dict.fromkeys(item.fqans)
                end = min(end, item.not_after.timestamp())
        except (ValueError, OverflowError, UnsupportedAlgorithm, x509.DuplicateExtension, crypto.Error) as exc:
            # What libraries raise for years before Christ, keys of unknown kinds, and doubled extensions.
            raise BadAttributes(str(exc)) from exc
        except FdtError as exc:
            raise BadAttributes(exc.reason) from exc
        return tuple(fqans), end

    def _check(self, item: AttributeCertificate, user: x509.Certificate, now: dt.datetime) -> None:
        if (item.holder_serial, item.holder_issuer) != (user.serial_number, canonical(user.issuer.public_bytes())):
            raise ValueError("they were given to somebody else")
        if item.not_after <= now:
            raise ValueError(f"they expired at {item.not_after:%Y-%m-%d %H:%M} UTC")
        if item.not_before - _SKEW > now:
            raise ValueError(f"they hold only from {item.not_before:%Y-%m-%d %H:%M} UTC on")
        if item.targets is not None and not self._host_names().intersection(item.targets):
            raise ValueError(f"they are meant for other hosts ({', '.join(item.targets) or 'none'})")
        signers = [x509.load_der_x509_certificate(der) for der in item.chain]
        self._check_signature(item, signers[0])
        self._check_signer(item, signers, now.timestamp())

    def _host_names(self) -> set[str]:
        try:
            with open(self._host_certificate, "rb") as file:
                own = x509.load_pem_x509_certificate(file.read())
        except OSError as exc:
            raise ValueError(f"this host's own names are unknown: {self._host_certificate}: {exc.strerror}") from exc
        names = {str(a.value).lower() for a in own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
        try:
            alternative = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return names
        return names | {name.lower() for name in alternative.get_values_for_type(x509.DNSName)}

    def _check_signature(self, item: AttributeCertificate, signer: x509.Certificate) -> None:
        if canonical(signer.subject.public_bytes()) != item.issuer:
            raise ValueError("they come with the certificate of another server than the one that they name")
        digest = _HASHES.get(item.hash_name)
        if digest is None or digest.digest_size * 8 < self._rules.min_hash_bits:
            raise ValueError(f"they are signed with {item.hash_name}")
        key = signer.public_key()
        try:
            if isinstance(key, rsa.RSAPublicKey) and item.key_kind == "rsassa_pkcs1v15":
                key.verify(item.signature, item.signed, padding.PKCS1v15(), digest)
            elif isinstance(key, ec.EllipticCurvePublicKey) and item.key_kind == "ecdsa":
                key.verify(item.signature, item.signed, ec.ECDSA(digest))
            else:
                raise ValueError(f"they are signed in an unknown way ({item.key_kind})")
        except (InvalidSignature, UnsupportedAlgorithm):
            raise ValueError("their signature is wrong") from None

    def _check_signer(self, item: AttributeCertificate, signers: Sequence[x509.Certificate], now: float) -> None:
        _check_may_sign(signers[0])
        chain = self._verified(signers)
        for certificate in chain:
            check_strength(certificate, self._rules)
        self._authorities.judge([certificate.public_bytes(Encoding.DER) for certificate in chain], now)
        self._voms_dir.check(item.vo, item.host, [subject_dn(certificate) for certificate in chain])

    def _verified(self, signers: Sequence[x509.Certificate]) -> list[x509.Certificate]:
        """Return the signer's chain up to a root of the CA directory, as OpenSSL verifies it."""
        store = crypto.X509Store()
        store.load_locations(None, self._ca_dir)  # type: ignore[arg-type]  # the stubs know files only
        first, *others = map(crypto.X509.from_cryptography, signers)
        try:
            verified = crypto.X509StoreContext(store, first, others).get_verified_chain()
        except crypto.X509StoreContextError as exc:
            raise ValueError(
                f"the certificate of {subject_dn(signers[0])}, who signed them, does not hold: {exc}"
            ) from exc
        return [certificate.to_cryptography() for certificate in verified]


def _check_may_sign(signer: x509.Certificate) -> None:
    if proxy_info(signer) is not None:
        raise ValueError("they are signed by a proxy")
    try:
        if signer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise ValueError("they are signed by a CA")
    except x509.ExtensionNotFound:
        pass  # absent means: no CA
    try:
        if not signer.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature:
            raise ValueError("they are signed with a key that is not for signing")
    except x509.ExtensionNotFound:
        pass  # absent means: for everything


def _outermost(chain: Sequence[x509.Certificate]) -> bytes:
    for certificate in chain:
        for extension in certificate.extensions:
            if extension.oid == _EXTENSION:
                value: bytes = extension.value.public_bytes()
                return value
    raise ValueError("there are none")
