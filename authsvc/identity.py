"""From a verified chain of certificates to the one who is calling.

OpenSSL has checked signatures, dates, issuers and names before we see a chain.  This module decides what OpenSSL does
not: which kinds of proxies count, what makes a chain limited, how long and how strong it must be, and whose name it
carries.  Some rules of OpenSSL are repeated where a mistake would hand out somebody else's account.  It leaves accounts
to `authsvc.gridmap`, CRLs and signing policies to `authsvc.authorities`, attributes of a VO to `authsvc.voms`.

Server side only: it loads cryptography.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtensionOID

from authsvc import dn, proxycert
from authsvc.errors import CredentialExpired, CredentialRefused
from fdtcp.value import dataclass

# Each delegation and each renewal adds one; RFC 3820 knows no limit, the cost of checking does.
MAX_PROXIES: Final = 10
# Below this RSA is within reach of a patient attacker (NIST SP 800-57).
MIN_RSA_BITS: Final = 2048
MIN_EC_BITS: Final = 256
# The shortest digest that is no SHA-1; collisions of that are for sale.
MIN_HASH_BITS: Final = 224
_PROXY_OID: Final = x509.ObjectIdentifier(proxycert.OID)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is calling.  The name and fingerprint are those of the end-entity certificate, never of a proxy.

    `fingerprint` is the SHA-256 of that certificate in hex, `depth` the number of proxies above it, `not_after` the
    first end of any certificate of the chain in epoch seconds.  `fqans` are the attributes that VOs vouched for, in the
    caller's order and in the spelling of `authsvc.fqan.normalise`; `fqan_problem` says why those that he brought do not
    count, for the message to one who is not mapped without them.
    """

    dn: str
    issuer_dn: str
    fingerprint: str
    depth: int
    limited: bool
    not_after: float
    fqans: tuple[str, ...] = ()
    fqan_problem: str = ""


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """What a site asks of chains.  The floors can only be raised: OpenSSL's own are the defaults here.

    `limited_proxies`: whether limited ones may transfer files, as with GridFTP; they must not start jobs.
    """

    limited_proxies: bool = True
    max_proxies: int = MAX_PROXIES
    min_rsa_bits: int = MIN_RSA_BITS
    min_ec_bits: int = MIN_EC_BITS
    min_hash_bits: int = MIN_HASH_BITS


DEFAULT_RULES: Final = IdentityRules()


def identify(chain_der: Sequence[bytes], now: float, rules: IdentityRules = DEFAULT_RULES) -> Identity:
    """Read a verified chain, the caller's own certificate first, the root last.

    Raises CredentialRefused that says which certificate is at fault, CredentialExpired if one is past its end at `now`.
    """
    try:
        chain = [x509.load_der_x509_certificate(der) for der in chain_der]
        return _identify(chain, now, rules)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as exc:
        raise CredentialRefused(f"a certificate of the chain is malformed: {exc}") from exc


def subject_dn(certificate: x509.Certificate) -> str:
    """Write the certificate's own name.  Raises CredentialRefused for a name that could be mistaken."""
    return dn.render(_parts(certificate.subject))


def issuer_dn(certificate: x509.Certificate) -> str:
    """Write the name of the certificate's issuer.  Raises CredentialRefused for a name that could be mistaken."""
    return dn.render(_parts(certificate.issuer))


def proxy_info(certificate: x509.Certificate) -> proxycert.ProxyCertInfo | None:
    """Return what the certificate says about being a proxy; None if it is none.

    Raises CredentialRefused for a proxy that breaks RFC 3820: extension not critical, malformed.
    """
    try:
        extension = certificate.extensions.get_extension_for_oid(_PROXY_OID)
    except x509.ExtensionNotFound:
        return None
    if not extension.critical:
        raise CredentialRefused("a proxy's ProxyCertInfo is not marked critical")
    try:
        return proxycert.decode(extension.value.public_bytes())
    except ValueError as exc:
        raise CredentialRefused(f"a proxy's ProxyCertInfo is malformed: {exc}") from exc


def _identify(chain: Sequence[x509.Certificate], now: float, rules: IdentityRules) -> Identity:
    proxies: list[proxycert.ProxyCertInfo] = []
    for certificate in chain:
        info = proxy_info(certificate)
        if info is None:
            break
        proxies.append(info)
    depth = len(proxies)
    if depth > rules.max_proxies:
        raise CredentialRefused(f"the chain has {depth} proxies, more than {rules.max_proxies}; make a fresh one")
    if depth == len(chain):
        raise CredentialRefused("the chain has proxies only: the user's own certificate is missing")
    for above, info in enumerate(proxies):
        _check_proxy(chain[above], chain[above + 1], info, above)
    user = chain[depth]
    _check_user(user)
    for authority in chain[depth + 1 :]:
        if proxy_info(authority) is not None:
            raise CredentialRefused("a proxy stands among the certificates of the CAs")
    for certificate in chain:
        check_strength(certificate, rules)
    limited = _is_limited(proxies, rules)
    ends = [(certificate.not_valid_after_utc.timestamp(), certificate) for certificate in chain]
    first_end, first = min(ends, key=lambda end: end[0])
    if first_end <= now:
        raise CredentialExpired(f"{_name(first)} expired at {first.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC")
    return Identity(
        subject_dn(user),
        issuer_dn(user),
        user.fingerprint(hashes.SHA256()).hex(),
        depth,
        limited,
        first_end,
    )


def _is_limited(proxies: Sequence[proxycert.ProxyCertInfo], rules: IdentityRules) -> bool:
    limited = any(info.language == proxycert.LIMITED for info in proxies)
    if limited and not rules.limited_proxies:
        raise CredentialRefused(
            "limited proxies are not accepted here", remedy="make a full one (grid-proxy-init without -limited)"
        )
    return limited


def _check_proxy(proxy: x509.Certificate, issuer: x509.Certificate, info: proxycert.ProxyCertInfo, above: int) -> None:
    """Check one proxy; `above` is how many proxies have been made from it."""
    if info.language not in (proxycert.INHERIT_ALL, proxycert.LIMITED):
        kind = "independent" if info.language == proxycert.INDEPENDENT else f"of the unknown policy {info.language}"
        raise CredentialRefused(f"a proxy is {kind}; only full and limited proxies carry their user's rights")
    if info.policy is not None:
        raise CredentialRefused("a full or limited proxy brings along a policy of its own")
    if info.path_length is not None and above > info.path_length:
        raise CredentialRefused(f"a proxy allows {info.path_length} further proxies, the chain has {above}")
    # OpenSSL checks the same; here a mistake would mean somebody else's name.
    names = [list(rdn) for rdn in proxy.subject.rdns]
    parent = [list(rdn) for rdn in issuer.subject.rdns]
    if (
        names[:-1] != parent
        or [a.oid.dotted_string for a in names[-1]] != ["2.5.4.3"]
        or proxy.issuer != issuer.subject
    ):
        raise CredentialRefused("a proxy's name is not its issuer's name and one more CN")
    for oid in (ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ExtensionOID.ISSUER_ALTERNATIVE_NAME):
        if _has(proxy, oid):
            raise CredentialRefused("a proxy carries alternative names, which RFC 3820 forbids")
    _check_user(proxy)


def _check_user(certificate: x509.Certificate) -> None:
    """Refuse what may not speak for a user: CA certificates, and keys that are not for signing."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        if constraints.ca:
            raise CredentialRefused(f"{_name(certificate)} is a CA's certificate, not a user's")
    except x509.ExtensionNotFound:
        pass  # absent means: no CA
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        if not usage.digital_signature:
            raise CredentialRefused(f"{_name(certificate)} is not for digital signatures (keyUsage)")
    except x509.ExtensionNotFound:
        pass  # absent means: for everything


def check_strength(certificate: x509.Certificate, rules: IdentityRules) -> None:
    """Refuse keys and signatures below the site's floors.  Raises CredentialRefused."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < rules.min_rsa_bits:
            raise CredentialRefused(
                f"{_name(certificate)} has an RSA key of {key.key_size} bits; {rules.min_rsa_bits} needed"
            )
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.key_size < rules.min_ec_bits:
            raise CredentialRefused(
                f"{_name(certificate)} has an EC key of {key.curve.key_size} bits; {rules.min_ec_bits} needed"
            )
    elif not isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        raise CredentialRefused(f"{_name(certificate)} has a key of a kind that is not accepted")
    digest = certificate.signature_hash_algorithm  # None: Ed25519 and Ed448, which bring their own
    # A root's signature of itself proves nothing and is not checked by anybody.
    if certificate.issuer != certificate.subject and digest and digest.digest_size * 8 < rules.min_hash_bits:
        raise CredentialRefused(f"{_name(certificate)} is signed with {digest.name}")


def _has(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> bool:
    return any(extension.oid == oid for extension in certificate.extensions)


def _name(certificate: x509.Certificate) -> str:
    try:
        kind = "the proxy" if _has(certificate, _PROXY_OID) else "the certificate"
        return f"{kind} {subject_dn(certificate)}"
    except CredentialRefused:
        return "a certificate"


def _parts(name: x509.Name) -> list[list[dn.Part]]:
    # Bit strings as values exist on paper only; show them so that rendering refuses or an operator recognises them.
    return [
        [(a.oid.dotted_string, a.value if isinstance(a.value, str) else a.value.hex()) for a in rdn]
        for rdn in name.rdns
    ]
