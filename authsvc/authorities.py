"""The CAs of a CA directory held to their word: which names each may sign, and what it has revoked.

TLS has verified a chain before it comes here.  This module decides what TLS does not: `<hash>.signing_policy` of each
issuer must allow the subject below it, and no list `<hash>.r0` of an issuer may name the certificate below it, from the
user's own certificate (a proxy's, too) up to the root.  Both ends use it: a daemon for its callers, a client for hosts.

Files are found by the hash of the issuer's name, as OpenSSL finds the CA itself, and each is read again when it has
changed: no index to rebuild, and a client pays for the files of one CA instead of two hundred.  A name inside of each
file says whose it is; the hash alone decides nothing.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from authsvc import certname, dn, signingpolicy
from authsvc.errors import BadRevocationList, CertificateRevoked, CredentialRefused, OutsidePolicy
from authsvc.signingpolicy import SigningPolicy
from authsvc.watchedfile import Parsed
from fdtcp.value import dataclass

if TYPE_CHECKING:
    from cryptography import x509

    from authsvc.revocation import Crl

_log: Final = logging.getLogger("authsvc.trust")

# A CA has one list, two while it changes its key.
MAX_FILES: Final = 10
# Policies of IGTF have a few hundred bytes.
MAX_POLICY_BYTES: Final = 64 << 10


class Need(StrEnum):
    """How much a kind of file counts."""

    REQUIRED = "required"
    IF_PRESENT = "if-present"
    OFF = "off"


class ExpiredCrl(StrEnum):
    """What becomes of callers when the newest list is past its end."""

    REFUSE = "refuse"
    ACCEPT = "accept"


@dataclass(frozen=True, slots=True)
class TrustRules:
    """A site's word on its CAs.

    Signing policies are required by default: without one a CA may name anybody, Globus refuses that, too, and every
    IGTF package and our lab CA bring one.  CRLs count if they are there: which CAs have one is for fetch-crl to know.
    """

    signing_policy: Need = Need.REQUIRED
    crl: Need = Need.IF_PRESENT
    expired_crl: ExpiredCrl = ExpiredCrl.REFUSE


@dataclass(frozen=True, slots=True)
class _Issuer:
    """One CA of a chain: its certificate, and how its files in the CA directory begin."""

    certificate: bytes
    name: bytes
    dn: str
    stem: str


class Authorities:
    """One CA directory under one set of rules; safe to use from all threads."""

    def __init__(self, ca_dir: str, rules: TrustRules) -> None:
        self._ca_dir = ca_dir
        self._rules = rules
        self._policies = Parsed(_parse_policy, MAX_POLICY_BYTES)
        self._crls: Parsed[Crl] | None = None
        self._told: set[str] = set()

    def judge(self, chain: Sequence[bytes], now: float) -> None:
        """Check a verified chain in DER, without its proxies, the root last.

        Raises OutsidePolicy, CertificateRevoked, BadRevocationList, CredentialRefused (names that cannot be rendered).
        """
        try:
            # A chain of one is a root that speaks for itself; the same rules hold.
            for above, issuer in zip(chain, chain[1:] or chain, strict=False):
                self._judge_one(above, self._issuer(issuer), is_first=above is chain[0], now=now)
        except ValueError as exc:
            raise CredentialRefused(f"a name in the chain is malformed: {exc}") from exc

    def _issuer(self, certificate: bytes) -> _Issuer:
        _, name = certname.issuer_and_subject(certificate)
        stem = os.path.join(self._ca_dir, certname.name_hash(name))
        return _Issuer(certificate, name, dn.render(certname.parts(name)), stem)

    def _judge_one(self, certificate: bytes, issuer: _Issuer, *, is_first: bool, now: float) -> None:
        _, subject = certname.issuer_and_subject(certificate)
        # A CA that signs its own name for a new key gives nobody a name that it has not got itself.
        if is_first or certname.canonical(subject) != certname.canonical(issuer.name):
            self._check_policy(issuer, dn.render(certname.parts(subject)))
        self._check_crls(certificate, issuer, dt.datetime.fromtimestamp(now, dt.UTC))

    # signing policy

    def _check_policy(self, issuer: _Issuer, subject_dn: str) -> None:
        if self._rules.signing_policy is Need.OFF:
            return
        path = f"{issuer.stem}.signing_policy"
        try:
            policy = self._policies.load(path)
        except FileNotFoundError:
            self._accept_missing_policy(path, issuer)
            return
        except OSError as exc:
            raise OutsidePolicy(
                f"cannot read the signing policy of the CA {issuer.dn}, {path}: {exc.strerror}",
                remedy="let everybody read it",
            ) from exc
        except ValueError as exc:
            # `exc` begins with the number of the line.
            raise OutsidePolicy(
                f"{path}, {exc}; nothing signed by the CA {issuer.dn} is accepted until it is mended",
                remedy="install the CA's package anew",
            ) from exc
        if not policy.names(issuer.dn):
            self._accept_missing_policy(path, issuer)
        elif not policy.allows(issuer.dn, subject_dn):
            raise OutsidePolicy(
                f"the CA {issuer.dn} signed the name {subject_dn}, which its signing policy {path} does not allow",
                remedy="use a certificate of the CA that is responsible for this name",
            )

    def _accept_missing_policy(self, path: str, issuer: _Issuer) -> None:
        if self._rules.signing_policy is Need.REQUIRED:
            raise OutsidePolicy(
                f"nothing says which names the CA {issuer.dn} may sign: {path} is missing or of another CA",
                remedy="install it from the CA's package, or set signing_policy = if-present",
            )

    # revocation

    def _check_crls(self, certificate: bytes, issuer: _Issuer, now: dt.datetime) -> None:
        if self._rules.crl is Need.OFF:
            return
        paths = [path for n in range(MAX_FILES) if os.path.lexists(path := f"{issuer.stem}.r{n}")]
        lists = [(path, *self._load_list(path, issuer)) for path in paths]
        covering = [item for item in lists if item[2] and _covers(item[1], certificate)]
        own = max(covering, key=lambda item: item[1].this_update, default=None)
        # A list that was signed with another key of the CA cannot stand for its own list, but what it names is revoked:
        # serial numbers are unique below a name.  Another name under the same hash is another matter.
        name = certname.canonical(issuer.name)
        consulted = [crl for _, crl, is_own in lists if not is_own and crl.issuer == name]
        consulted += [own[1]] if own else []
        self._check_revoked(certificate, consulted)
        if own is not None:
            self._check_age(own[0], own[1], issuer, now)
        elif any(is_own for _, _, is_own in lists):
            # Known to be cut in parts, and this part is not here: it may be just the one that matters.
            raise BadRevocationList(
                f"no list of what the CA {issuer.dn} has revoked covers this certificate; {paths[0]} has a part only",
                remedy="let fetch-crl fetch the other part, too: name its address in the CA's .crl_url file",
            )
        elif self._rules.crl is Need.REQUIRED:
            raise BadRevocationList(
                f"there is no list of what the CA {issuer.dn} has revoked ({issuer.stem}.r0), and one is required"
            )

    def _load_list(self, path: str, issuer: _Issuer) -> tuple[Crl, bool]:
        """Return the list in the file, and whether this very CA signed it rather than one of the same name."""
        from cryptography import x509

        from authsvc.revocation import MAX_CRL_BYTES, Crl

        if self._crls is None:
            self._crls = Parsed(Crl, MAX_CRL_BYTES)
        try:
            crl = self._crls.load(path)
        except OSError as exc:
            raise BadRevocationList(f"cannot read {path}: {exc.strerror}") from exc
        except ValueError as exc:
            raise BadRevocationList(f"{path} cannot be used: {exc}") from exc
        if crl.is_signed_by(x509.load_der_x509_certificate(issuer.certificate)):
            return crl, True
        if any(crl.is_signed_by(sibling) for sibling in self._siblings(issuer.stem)):
            return crl, False
        raise BadRevocationList(f"{path} was not signed by the CA {issuer.dn}, whose list it should be")

    def _siblings(self, stem: str) -> list[x509.Certificate]:
        """Return the CAs that the directory files under the same hash."""
        from cryptography import x509

        found: list[x509.Certificate] = []
        for number in range(MAX_FILES):
            try:
                with open(f"{stem}.{number}", "rb") as file:
                    found += x509.load_pem_x509_certificates(file.read())
            except FileNotFoundError:
                break
            except (OSError, ValueError):
                continue  # what OpenSSL cannot read either is no CA
        return found

    def _check_revoked(self, certificate: bytes, lists: Sequence[Crl]) -> None:
        if not lists:
            return
        from cryptography import x509

        serial = x509.load_der_x509_certificate(certificate).serial_number
        for crl in lists:
            if (when := crl.revoked_at(serial)) is not None:
                _, subject = certname.issuer_and_subject(certificate)
                name = dn.render(certname.parts(subject))
                raise CertificateRevoked(f"the certificate {name} was revoked by its CA on {when:%Y-%m-%d}")

    def _check_age(self, path: str, crl: Crl, issuer: _Issuer, now: dt.datetime) -> None:
        if crl.is_early(now):
            raise BadRevocationList(
                f"{path} is from the future ({crl.this_update:%Y-%m-%d %H:%M} UTC)", remedy="check the clock there"
            )
        if not crl.is_expired(now):
            return
        end = f"{crl.next_update:%Y-%m-%d %H:%M} UTC"
        text = f"{path}, the list of what the CA {issuer.dn} has revoked, expired at {end}"
        if self._rules.expired_crl is ExpiredCrl.REFUSE:
            raise BadRevocationList(text)
        if text not in self._told:
            self._told.add(text)
            _log.warning("%s; it is used all the same (expired_crl = accept)", text)


def _covers(crl: Crl, certificate: bytes) -> bool:
    from cryptography import x509

    return crl.covers(x509.load_der_x509_certificate(certificate))


def _parse_policy(content: bytes) -> SigningPolicy:
    try:
        return signingpolicy.parse(content.decode())
    except UnicodeDecodeError as exc:
        number = content.count(b"\n", 0, exc.start) + 1
        raise ValueError(f"line {number}: not UTF-8") from exc
