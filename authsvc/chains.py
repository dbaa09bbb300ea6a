"""Certificate files as chains: read, dated and verified without a connection, for tools that look at files.

Decides nothing that a daemon decides: it shows beforehand what OpenSSL will say of a chain in a handshake.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import crypto

from authsvc.credentials import MAX_FILE_BYTES
from authsvc.errors import BadCredential, CredentialRefused

DER: Final = serialization.Encoding.DER
# X509_V_FLAG_ALLOW_PROXY_CERTS of OpenSSL's x509_vfy.h; pyOpenSSL does not name it.
_ALLOW_PROXIES: Final = 0x40


def read(path: str) -> list[x509.Certificate]:
    """Read all certificates of a file, the holder's own first.  Raises BadCredential."""
    try:
        with open(path, "rb") as file:
            return x509.load_pem_x509_certificates(file.read(MAX_FILE_BYTES))
    except OSError as exc:
        raise BadCredential(f"cannot read {path}: {exc.strerror}") from exc
    except ValueError as exc:
        raise BadCredential(f"{path} holds no readable certificate: not PEM, or cut off") from exc


def first_end(chain: list[x509.Certificate]) -> dt.datetime:
    """Return when the chain ends: with the first of its members."""
    return min(certificate.not_valid_after_utc for certificate in chain)


def verify(chain: list[x509.Certificate], ca_dir: str) -> list[x509.Certificate]:
    """Return the whole chain up to its CA in `ca_dir`, verified by OpenSSL.  Raises CredentialRefused."""
    store = crypto.X509Store()
    try:
        store.load_locations(None, ca_dir)  # type: ignore[arg-type]  # the stubs know no directory without a file
        store.set_flags(_ALLOW_PROXIES)
        own, *others = (crypto.X509.from_cryptography(certificate) for certificate in chain)
        whole = crypto.X509StoreContext(store, own, others).get_verified_chain()
    except crypto.X509StoreContextError as exc:
        subject = exc.certificate.to_cryptography().subject.rfc4514_string()
        raise CredentialRefused(f"the chain does not hold at {subject}: {exc}") from exc
    except crypto.Error as exc:
        raise CredentialRefused(f"the chain cannot be verified with the CAs in {ca_dir}") from exc
    return [certificate.to_cryptography() for certificate in whole]
