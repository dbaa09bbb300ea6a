"""Lists of revoked certificates: reading one file, and asking it about one certificate.

Decides which lists can be used at all, and which certificates one covers.  Delta lists, indirect lists and lists for
some reasons only are refused.  A list for one kind of certificate, or for those that name its address (RFC 5280 calls
that an issuing distribution point), counts for these and is never taken for the whole.  Where lists are and when one is
needed is `authsvc.authorities`'.

Loads cryptography: a client does that only if there is a list of its host's CA.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from authsvc.certname import canonical

# The largest grid CAs have some 2 MB; public ones had 70 MB at the worst.
MAX_CRL_BYTES: Final = 128 << 20
# Clocks of the CA and ours differ.
_SKEW: Final = dt.timedelta(minutes=5)
_KNOWN: Final = frozenset({ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.CRL_NUMBER})
# Entries for another CA's certificates carry this extension (2.5.29.29), which makes a list indirect.
_CERTIFICATE_ISSUER: Final = bytes.fromhex("0603551d1d")


class Crl:
    """One list; `issuer` is its CA's name in canonical form."""

    def __init__(self, content: bytes) -> None:
        """Read PEM or DER.  Raises ValueError for what is no list or none that can be used."""
        self._signers: dict[bytes, bool] = {}
        self._scope: x509.IssuingDistributionPoint | None = None
        try:
            self._crl = x509.load_pem_x509_crl(content) if b"-----BEGIN" in content else x509.load_der_x509_crl(content)
            self._check_extensions()
            self.issuer = canonical(self._crl.issuer.public_bytes())
            self.this_update = self._crl.last_update_utc
            end = self._crl.next_update_utc
        except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as exc:
            raise ValueError(f"it is no list of revoked certificates that can be used: {exc}") from exc
        if end is None:
            raise ValueError("it does not say when the next one comes (nextUpdate)")
        self.next_update = end

    def _check_extensions(self) -> None:
        for extension in self._crl.extensions:
            if extension.oid == ExtensionOID.DELTA_CRL_INDICATOR:
                raise ValueError("it is a delta list, which tells only what has changed")
            if isinstance(extension.value, x509.IssuingDistributionPoint):
                self._scope = _readable(extension.value)
            elif extension.critical and extension.oid not in _KNOWN:
                raise ValueError(f"it has the critical extension {extension.oid.dotted_string}, which is unknown here")
        if _CERTIFICATE_ISSUER in self._crl.tbs_certlist_bytes:
            raise ValueError("it is an indirect list, with certificates of other CAs")

    def is_signed_by(self, issuer: x509.Certificate) -> bool:
        """Say whether this CA made the list; the answer for a CA is kept, it costs up to 30 ms."""
        fingerprint = issuer.public_bytes(Encoding.DER)
        known = self._signers.get(fingerprint)
        if known is None:
            known = self._signers[fingerprint] = self._verify(issuer)
        return known

    def _verify(self, issuer: x509.Certificate) -> bool:
        if canonical(issuer.subject.public_bytes()) != self.issuer:
            return False
        try:
            if not issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign:
                return False
        except x509.ExtensionNotFound:
            pass  # absent means: for everything
        key = issuer.public_key()
        if not isinstance(
            key,
            rsa.RSAPublicKey
            | ec.EllipticCurvePublicKey
            | ed25519.Ed25519PublicKey
            | ed448.Ed448PublicKey
            | dsa.DSAPublicKey,
        ):
            return False
        try:
            return self._crl.is_signature_valid(key)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            return False

    def revoked_at(self, serial: int) -> dt.datetime | None:
        """Return when the certificate of this number was revoked; None if it was not."""
        entry = self._crl.get_revoked_certificate_by_serial_number(serial)
        return None if entry is None else entry.revocation_date_utc

    def covers(self, certificate: x509.Certificate) -> bool:
        """Say whether the certificate would be in this list if it were revoked."""
        scope = self._scope
        if scope is None:
            return True
        is_ca = _is_ca(certificate)
        if (scope.only_contains_user_certs and is_ca) or (scope.only_contains_ca_certs and not is_ca):
            return False
        return scope.full_name is None or not _addresses(certificate).isdisjoint(scope.full_name)

    def is_early(self, now: dt.datetime) -> bool:
        """Say whether the list is from the future, by more than clocks differ."""
        return self.this_update - _SKEW > now

    def is_expired(self, now: dt.datetime) -> bool:
        """Say whether a newer list should have come."""
        return self.next_update <= now


def _readable(scope: x509.IssuingDistributionPoint) -> x509.IssuingDistributionPoint:
    if scope.indirect_crl:
        raise ValueError("it is an indirect list, with certificates of other CAs")
    if scope.only_some_reasons:
        raise ValueError("it is a list of certificates that were revoked for some reasons only")
    if scope.only_contains_attribute_certs or scope.relative_name:
        raise ValueError("it covers only a part of its CA's certificates, and it cannot be told which")
    return scope


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _addresses(certificate: x509.Certificate) -> set[x509.GeneralName]:
    """Return where the certificate says that its list can be had."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return set()
    return {name for point in points for name in point.full_name or ()}
