"""What a client tells its user when TLS fails: which of the two ends is at fault, why, and what to do.

OpenSSL says "certificate verify failed" and "sslv3 alert certificate expired"; neither names the host, the file or the
way out.  This module decides the words and the error class; it is loaded after a failure only.
"""

from __future__ import annotations

import ssl
from typing import Final

from authsvc.credentials import Credential, explain
from authsvc.errors import CredentialExpired, CredentialRefused, NotAuthentic
from fdtcp.errors import FdtError, Unreachable

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_UNKNOWN_CA: Final = frozenset({2, 18, 19, 20, 21, 27})
_WRONG_NAME: Final = frozenset({62, 64})

_INSTALL_CA: Final = "install the certificate of the host's CA there, or name another directory in X509_CERT_DIR"


def from_handshake(error: OSError, host: str, credential: Credential, ca_dir: str, presented: bytes | None) -> FdtError:
    """Translate what ended a TLS handshake, or the first read after it.

    `host` is the daemon as the user named it, `presented` the certificate that it showed.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _host_refused(error, host, ca_dir, presented)
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        if "ALERT" in reason:
            return _we_are_refused(reason, host, credential)
        if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
            return Unreachable(
                f"{host} answers, but does not speak TLS: another service listens there", remedy="check the port"
            )
        return Unreachable(f"no secured connection with {host}: {reason or error}")
    if isinstance(error, TimeoutError):
        return Unreachable(f"{host} accepted the connection but did not finish the TLS handshake in time")
    return Unreachable(f"{host} closed the connection during the handshake ({error.strerror or error})")


def _host_refused(error: ssl.SSLCertVerificationError, host: str, ca_dir: str, presented: bytes | None) -> NotAuthentic:
    code = error.verify_code
    if code in _WRONG_NAME:
        names = _names_of(presented)
        has = f"is for {', '.join(names)}" if names else "names no host at all (no subjectAltName)"
        return NotAuthentic(
            f"the certificate of the daemon at {host} {has}",
            remedy=f"use a name that the certificate has, or let its administrator add {host} to it (subjectAltName)",
        )
    if code in _UNKNOWN_CA:
        return NotAuthentic(
            f"the certificate of {host}{_issued_by(presented)} is from a CA that is not in {ca_dir}", remedy=_INSTALL_CA
        )
    if code == _EXPIRED:
        return NotAuthentic(
            f"the certificate of {host}, or one of its CA, has expired",
            remedy="let the host's administrator renew it, and check this machine's clock",
        )
    if code == _NOT_YET_VALID:
        return NotAuthentic(f"the certificate of {host} is not valid yet", remedy="check the clocks of both machines")
    return NotAuthentic(f"the certificate of {host} does not hold: {error.verify_message}")


def _we_are_refused(reason: str, host: str, credential: Credential) -> FdtError:
    """Say why the server refused us.  The alert is short; our own file usually shows the cause."""
    own = explain(credential)
    if own is not None:
        return own
    path = credential.cert_path
    if reason.endswith("CERTIFICATE_EXPIRED"):
        return CredentialExpired(f"{host} says that a certificate in {path} has expired; check both clocks")
    if reason.endswith("UNKNOWN_CA"):
        return CredentialRefused(
            f"{host} does not know the CA behind {path}",
            remedy="put the whole chain into the file, or let the site's administrator install that CA",
        )
    word = reason.rsplit("ALERT_", maxsplit=1)[-1].replace("_", " ").lower()
    return CredentialRefused(f"{host} refused the certificate in {path} ({word}); its log says more")


def _names_of(der: bytes | None) -> list[str]:
    if der is None:
        return []
    from cryptography import x509

    try:
        names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, x509.ExtensionNotFound):
        return []
    return [str(name.value) for name in names.value if isinstance(name, x509.DNSName | x509.IPAddress)]


def _issued_by(der: bytes | None) -> str:
    if der is None:
        return ""
    from cryptography import x509

    try:
        return f" (issued by {x509.load_der_x509_certificate(der).issuer.rfc4514_string()})"
    except ValueError:
        return ""
