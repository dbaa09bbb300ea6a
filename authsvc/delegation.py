"""Delegation: a daemon gets a proxy of its caller, and no private key crosses the wire.

    daemon                                    caller
    begin() -> request with a fresh key   ->  sign(request) with his own proxy
    finish([certificate, his chain...])   <-

Decides what a daemon accepts as the answer to its request: a proxy of exactly the chain that this connection was
opened with, for exactly the key that was made for it, once, no longer and no less limited than its parent.  Who may
delegate is the caller's business, what the proxy is used for the daemon's.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Final

from authsvc.channel.caller import Caller
from authsvc.credentials import Credential
from authsvc.errors import CredentialRefused, DelegationRefused
from fdtcp.value import dataclass

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

    from authsvc.identity import IdentityRules

# The size that AUTH demands of every key, and no more: it is made while the caller waits, and lives for hours.
KEY_BITS: Final = 2048
# What `identify` accepts, the new proxy, and some CAs in between.
MAX_CERTIFICATES: Final = 20
# A certificate with the attributes of several VOs has some 20 kB.
MAX_CERTIFICATE_BYTES: Final = 64 << 10
# Made and accepted within a second or two; a caller who needs longer may begin anew.
MAX_REQUEST_BYTES: Final = 8 << 10


@dataclass(frozen=True, slots=True)
class Delegated:
    """A proxy that was accepted: the content of its file, and until when it lasts (epoch seconds)."""

    content: bytes = field(repr=False)
    not_after: float
    limited: bool


class Delegation:
    """The daemon's side, one for each connection: the key of a request leaves it only inside an accepted proxy."""

    def __init__(self, caller: Caller, rules: IdentityRules | None = None) -> None:
        """`rules` are those by which the site let the caller in; None: the defaults."""
        self._caller = caller
        self._rules = rules
        self._key: rsa.RSAPrivateKey | None = None

    def begin(self) -> bytes:
        """Make a key and return the request (PKCS #10, DER) that the caller shall sign; an earlier one is void."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        self._key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        # The name is the signer's to choose (RFC 3820, 3.4), so the request has none.
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(self._key, hashes.SHA256())
        return request.public_bytes(serialization.Encoding.DER)

    def finish(self, chain_der: Sequence[bytes], now: float | None = None) -> Delegated:
        """Take the signed proxy and the chain below it.  Raises DelegationRefused, and then the key is gone, too."""
        key, self._key = self._key, None
        if key is None:
            raise DelegationRefused("a delegation was finished that had not begun on this connection")
        try:
            return _judge(self._caller, key, list(chain_der), time.time() if now is None else now, self._rules)
        except CredentialRefused as exc:
            raise DelegationRefused(f"the delegated proxy is not acceptable: {exc.reason}") from exc


def _judge(
    caller: Caller, key: rsa.RSAPrivateKey, chain_der: list[bytes], now: float, rules: IdentityRules | None
) -> Delegated:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    from authsvc import identity, proxycert

    if not 1 < len(chain_der) <= MAX_CERTIFICATES or max(map(len, chain_der)) > MAX_CERTIFICATE_BYTES:
        raise DelegationRefused("a delegation brings a proxy and the chain that signed it, of sensible sizes")
    leaf_der, parents = chain_der[0], chain_der[1:]
    # The caller's file may lack CAs that the daemon knows; the user's own certificate it must have.
    if len(parents) <= caller.identity.depth or parents != list(caller.chain[: len(parents)]):
        raise DelegationRefused("the chain below the delegated proxy is not the one of this connection")
    try:
        leaf = x509.load_der_x509_certificate(leaf_der)
        parent = x509.load_der_x509_certificate(parents[0])
        _check_signature(leaf, parent)
        if leaf.public_key() != key.public_key():
            raise DelegationRefused("the delegated proxy is for another key than the one in the request")
        found = identity.identify([leaf_der, *caller.chain], now, rules or identity.DEFAULT_RULES)
        _check_extensions(leaf)
        info = identity.proxy_info(leaf)
    except (ValueError, TypeError) as exc:
        raise DelegationRefused(f"the delegated proxy is malformed: {exc}") from exc
    # A second end-entity certificate in front would be somebody else.
    if info is None or (found.dn, found.fingerprint) != (caller.identity.dn, caller.identity.fingerprint):
        raise DelegationRefused("what was delegated is not a proxy of the caller")
    if leaf.not_valid_after_utc.timestamp() > caller.identity.not_after:
        raise DelegationRefused("the delegated proxy would outlive the proxy that signed it")
    if leaf.not_valid_before_utc.timestamp() > now:
        raise DelegationRefused("the delegated proxy is not valid yet", remedy="compare the clocks of both machines")
    if caller.identity.limited and info.language != proxycert.LIMITED:
        raise DelegationRefused("a limited proxy can delegate limited proxies only")
    # The root is left out: whoever checks a chain has it, or should not believe it.
    below = [x509.load_der_x509_certificate(der) for der in caller.chain[:-1]]
    first, *rest = (one.public_bytes(serialization.Encoding.PEM) for one in (leaf, *below))
    secret = key.private_bytes(
        # The old form ("RSA PRIVATE KEY"): some grid tools know no other in a proxy file.
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return Delegated(b"".join([first, secret, *rest]), found.not_after, found.limited)


def _check_signature(leaf: x509.Certificate, parent: x509.Certificate) -> None:
    from cryptography.exceptions import InvalidSignature

    try:
        leaf.verify_directly_issued_by(parent)
    except (InvalidSignature, ValueError, TypeError) as exc:
        raise DelegationRefused("the delegated proxy is not signed by the proxy of this connection") from exc


def _check_extensions(leaf: x509.Certificate) -> None:
    """Refuse what would only be refused later, by whoever meets the proxy: then the job would be under way."""
    from cryptography import x509

    from authsvc import proxycert

    known = {proxycert.OID, *(kind.oid.dotted_string for kind in (x509.KeyUsage, x509.ExtendedKeyUsage))}
    known.add(x509.BasicConstraints.oid.dotted_string)
    strange = [one.oid.dotted_string for one in leaf.extensions if one.critical and one.oid.dotted_string not in known]
    if strange:
        raise DelegationRefused(f"the delegated proxy has an unknown critical extension ({strange[0]})")


def sign(request: bytes, credential: Credential, *, hours: float, limited: bool = False) -> list[bytes]:
    """Be the caller: sign a daemon's request and return what `finish` wants, in DER.

    Only the request's key is used, whatever else it asks for.  Loads cryptography, so who does not delegate does not
    pay for it.  Raises DelegationRefused for a request with a weak key or none, BadCredential.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    from authsvc import issuing

    if len(request) > MAX_REQUEST_BYTES:
        raise DelegationRefused(f"the daemon's request has {len(request)} bytes")
    try:
        wanted = x509.load_der_x509_csr(request)
        holder = wanted.public_key()
        is_proven = wanted.is_signature_valid
    except (ValueError, TypeError) as exc:
        raise DelegationRefused(f"the daemon's request is malformed: {exc}") from exc
    if not is_proven or not isinstance(holder, rsa.RSAPublicKey) or holder.key_size < KEY_BITS:
        raise DelegationRefused(f"the daemon's request is not for an RSA key of at least {KEY_BITS} bits that it has")
    chain, key = issuing.read(credential)
    leaf = issuing.issue(chain, key, holder, life=dt.timedelta(hours=hours), limited=limited)
    return [one.public_bytes(serialization.Encoding.DER) for one in (leaf, *chain)]


def store(path: str, delegated: Delegated) -> Credential:
    """Write a proxy where only the daemon's account can read it, whole or not at all.  Raises OSError."""
    directory = os.path.dirname(path)
    temporary = f"{path}.{os.urandom(8).hex()}"
    # Neither a file nor a link that somebody put there is followed or kept.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(delegated.content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except OSError:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return Credential(path, path)
