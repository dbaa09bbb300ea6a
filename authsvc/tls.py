"""TLS contexts for both ends, and the one function that reaches into `ssl` for the verified chain.

Decides the flags of TLS: only the given CA directory is trusted, the server takes proxies (RFC 3820), the client never
does, nothing is resumed.  What a verified chain means is `authsvc.identity`'s; what a failure means to a person is
`authsvc.refusals`'.
"""

from __future__ import annotations

import _ssl
import logging
import ssl
import threading
from typing import Any, Final

from authsvc import trust
from authsvc.credentials import Credential, check_files, explain, state_of
from authsvc.errors import BadCredential, CredentialExpired

_log: Final = logging.getLogger("authsvc.tls")


def server_context(credential: Credential, ca_dir: str) -> ssl.SSLContext:
    """Make the context of a listening daemon.  Raises BadCredential or BadTrust."""
    # Not create_default_context: its strict mode refuses many grid CAs, and it trusts the system's.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_ALLOW_PROXY_CERTS
    # A resumed session brings no chain along, so there would be nobody to map.
    context.num_tickets = 0
    _fill(context, credential, ca_dir)
    return context


def client_context(credential: Credential, ca_dir: str, *, check_name: bool = True) -> ssl.SSLContext:
    """Make the context of a client.  Raises BadCredential or BadTrust.

    `check_name` is off only where the caller compares the host's DN itself.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = check_name
    context.hostname_checks_common_name = False
    _fill(context, credential, ca_dir)
    return context


def _fill(context: ssl.SSLContext, credential: Credential, ca_dir: str) -> None:
    # Both ends are ours and new; TLS 1.3 alone leaves no renegotiation and no old ciphers to think about.
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    trust.check_ca_dir(ca_dir)
    context.load_verify_locations(capath=ca_dir)
    try:
        context.load_cert_chain(credential.cert_path, credential.key_path, password=_refuse_pass_phrase)
    except (ssl.SSLError, OSError, _Encrypted) as exc:
        raise explain(credential) or BadCredential(
            f"cannot use {credential.cert_path} with {credential.key_path}: {exc}"
        ) from exc


class _Encrypted(Exception):
    """OpenSSL asked for a pass phrase."""


def _refuse_pass_phrase() -> str:
    """Stand in for OpenSSL's prompt: a daemon or a batch job that prompts waits for ever."""
    raise _Encrypted


class ServerContexts:
    """The listening side's context, made anew when the certificate or the set of CAs changes on disk.

    A renewed host certificate, a new CA and a removed CA count from the next connection on, without a restart.  While
    a new certificate and key do not fit together (one has been copied, the other not yet) the old ones stay; a CA
    directory that cannot be used lets nobody in.  A context costs 3.5 ms, looking whether one is needed 1 ms.
    """

    def __init__(self, credential: Credential, ca_dir: str, uid: int) -> None:
        """Make the first context at once, so that a daemon with a bad certificate does not start."""
        self._credential = credential
        self._ca_dir = ca_dir
        self._uid = uid
        self._lock = threading.Lock()
        self._trust = trust.state_of(ca_dir)
        self._files = state_of(credential)
        self._context = self._make()

    def current(self) -> ssl.SSLContext:
        """Return the context to use now.  Raises BadTrust if the CA directory became unusable."""
        with self._lock:
            trust_now = trust.state_of(self._ca_dir)
            try:
                files_now = state_of(self._credential)
                if (trust_now, files_now) != (self._trust, self._files):
                    self._context = self._make()
                    self._trust, self._files = trust_now, files_now
            except (BadCredential, CredentialExpired) as exc:
                if trust_now != self._trust:
                    # The old context trusts the old CAs, so it cannot be kept.
                    raise
                _log.warning("the certificate in use stays: %s", exc.reason)
            return self._context

    def _make(self) -> ssl.SSLContext:
        check_files(self._credential, self._uid)
        return server_context(self._credential, self._ca_dir)


def verified_chain(tls: ssl.SSLSocket) -> list[bytes]:
    """Return the peer's chain as OpenSSL verified it, in DER, the peer's own certificate first and the root last.

    Public from Python 3.13 on; before, the same call exists one level down.
    """
    inner: Any = tls if hasattr(tls, "get_verified_chain") else tls._sslobj  # type: ignore[attr-defined]  # noqa: SLF001  # no public way before 3.13
    chain: list[Any] = inner.get_verified_chain()  # bytes from 3.13 on, objects of _ssl before
    return [_der(item) for item in chain]


def presented_certificate(tls: ssl.SSLSocket) -> bytes | None:
    """Return the peer's own certificate as it was sent, also when it was refused; for error texts only."""
    inner: Any = tls if hasattr(tls, "get_unverified_chain") else tls._sslobj  # type: ignore[attr-defined]  # noqa: SLF001  # as above
    chain: list[Any] | None = inner.get_unverified_chain() if inner is not None else None  # as above
    return _der(chain[0]) if chain else None


def _der(item: Any) -> bytes:  # Any: see verified_chain
    encoded: bytes = item if isinstance(item, bytes) else item.public_bytes(_ssl.ENCODING_DER)
    return encoded
