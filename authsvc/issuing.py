"""The making of one proxy certificate (RFC 3820): whose it is, what it says, how long it lasts.

Decides the fields that all proxies of ours share, whoever has the new key: the lab's tools, which write it beside the
certificate, or a daemon to which a user delegates, and whose key never travels.  A proxy of a limited one is limited,
and none outlives its chain.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

from authsvc import proxycert
from authsvc.credentials import Credential
from authsvc.errors import BadCredential
from authsvc.identity import proxy_info

SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

# Clocks of two machines differ.
BACKDATE: Final = dt.timedelta(minutes=5)
_PROXY_OID: Final = x509.ObjectIdentifier(proxycert.OID)


def issue(
    chain: Sequence[x509.Certificate],
    key: SigningKey,
    holder: rsa.RSAPublicKey,
    *,
    life: dt.timedelta,
    limited: bool = False,
    path_length: int | None = None,
) -> x509.Certificate:
    """Make a proxy for the key of `holder`, signed with the `key` of the first certificate of `chain`.

    Raises BadCredential if the chain has ended.
    """
    issuer = chain[0]
    language = proxycert.LIMITED if limited or is_limited(chain) else proxycert.INHERIT_ALL
    serial = x509.random_serial_number()
    # RFC 3820, 3.4: the issuer's name and one CN more, which no other proxy of it has.
    common_name = x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, str(serial))])
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    end = min([now + life, *(certificate.not_valid_after_utc for certificate in chain)])
    if end <= now:
        raise BadCredential(f"the issuing certificate ended at {end:%Y-%m-%d %H:%M:%S} UTC")
    info = proxycert.encode(proxycert.ProxyCertInfo(language, path_length))
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([*issuer.subject.rdns, common_name]))
        .issuer_name(issuer.subject)
        .public_key(holder)
        .serial_number(serial)
        .not_valid_before(now - BACKDATE)
        .not_valid_after(end)
        .add_extension(key_usage(ca=False), critical=True)
        .add_extension(x509.UnrecognizedExtension(_PROXY_OID, info), critical=True)
    )
    # The Edwards curves have their hash built in.
    is_edwards = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return builder.sign(key, None if is_edwards else hashes.SHA256())


def is_limited(chain: Sequence[x509.Certificate]) -> bool:
    """Say whether a proxy of this chain is limited, which makes all that come after it limited."""
    infos = (proxy_info(certificate) for certificate in chain)
    return any(info is not None and info.language == proxycert.LIMITED for info in infos)


def read(credential: Credential) -> tuple[list[x509.Certificate], SigningKey]:
    """Read the chain and the key of a credential.  Raises BadCredential."""
    try:
        with open(credential.cert_path, "rb") as file:
            chain = x509.load_pem_x509_certificates(file.read())
        with open(credential.key_path, "rb") as file:
            key = serialization.load_pem_private_key(file.read(), None)
    except OSError as exc:
        raise BadCredential(f"cannot read {exc.filename}: {exc.strerror}") from exc
    except (ValueError, TypeError) as exc:
        raise BadCredential(f"cannot use {credential.cert_path} with {credential.key_path}: {exc}") from exc
    if not isinstance(key, SigningKey):
        raise BadCredential(f"the key in {credential.key_path} cannot sign")
    return chain, key


def key_usage(*, ca: bool) -> x509.KeyUsage:
    """Return what a key is for: signing certificates and lists, or else TLS."""
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=not ca,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
