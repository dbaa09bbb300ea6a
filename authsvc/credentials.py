"""Certificate and key files: which one is meant, and whether it may be used.

Decides by cheap checks of the standard library before a connection is made; only after a failure does `explain` load
cryptography to say what was wrong.  It leaves to the daemon whether it accepts the credential.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from authsvc.errors import BadCredential, CredentialExpired
from fdtcp.errors import FdtError
from fdtcp.value import dataclass

if TYPE_CHECKING:
    from cryptography import x509

MAKE_PROXY: Final = "make a new one with grid-proxy-init or voms-proxy-init"
# A chain of ten proxies with big keys has some 50 kB; nobody's credential is larger.
MAX_FILE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Credential:
    """Where a certificate chain and its key are; a proxy file holds both, so both paths are the same then."""

    cert_path: str
    key_path: str

    @property
    def is_proxy_file(self) -> bool:
        """Whether one file holds the chain and the key, as proxies do."""
        return self.cert_path == self.key_path

    @property
    def another(self) -> str:
        """How to get another one: a user makes a proxy himself, a host's certificate is its CA's."""
        return MAKE_PROXY if self.is_proxy_file else "let its CA issue a new one"


def find_proxy(explicit: str | None, environ: Mapping[str, str], uid: int) -> Credential:
    """Return the user's proxy: the file named by -x, else $X509_USER_PROXY, else /tmp/x509up_u<uid>.

    Raises BadCredential if it is not there, saying which of the three was looked for.
    """
    path, origin = f"/tmp/x509up_u{uid}", "the default place"  # noqa: S108  # where all grid tools put it
    if explicit:
        path, origin = explicit, "named by -x"
    elif environ.get("X509_USER_PROXY"):
        path, origin = environ["X509_USER_PROXY"], "named by X509_USER_PROXY"
    if not os.path.lexists(path):
        raise BadCredential(f"there is no proxy at {path} ({origin})", remedy=f"{MAKE_PROXY}, or name it with -x")
    return Credential(path, path)


def check_files(credential: Credential, uid: int) -> None:
    """Refuse files that others could have read or written.  Raises BadCredential that names the file and the remedy."""
    what = "proxy" if credential.is_proxy_file else "key"
    status = _status(credential.key_path, what)
    if status.st_uid != uid:
        raise BadCredential(
            f"the {what} {credential.key_path} belongs to uid {status.st_uid}, not to {uid} who uses it",
            remedy=f"give it to the right owner, or {MAKE_PROXY}"
            if credential.is_proxy_file
            else "run this as that account, or give it the key",
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise BadCredential(
            f"the {what} {credential.key_path} is open to others (mode {mode:04o})",
            remedy=f"chmod 600 {credential.key_path}",
        )
    if not credential.is_proxy_file:
        status = _status(credential.cert_path, "certificate")
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid not in (uid, 0) or mode & 0o022:
            raise BadCredential(
                f"the certificate {credential.cert_path} could be changed by others "
                f"(owner {status.st_uid}, mode {mode:04o})",
                remedy=f"chmod 644 {credential.cert_path} and let uid {uid} or root own it",
            )


def state_of(credential: Credential) -> tuple[int, ...]:
    """Return a value that changes when one of the files is replaced, rewritten or gets another mode or owner.

    Raises BadCredential if one is not there.
    """
    state: list[int] = []
    for path in (credential.cert_path, credential.key_path):
        status = _status(path, "credential")
        state += (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return tuple(state)


def _status(path: str, what: str) -> os.stat_result:
    try:
        status = os.lstat(path)
    except OSError as exc:
        raise BadCredential(f"cannot use the {what} {path}: {exc.strerror}", remedy="check the path") from exc
    if stat.S_ISLNK(status.st_mode):
        raise BadCredential(f"the {what} {path} is a symlink", remedy="name the file itself")
    if not stat.S_ISREG(status.st_mode):
        raise BadCredential(f"the {what} {path} is not a regular file", remedy="name a PEM file")
    if not 0 < status.st_size <= MAX_FILE_BYTES:
        raise BadCredential(f"the {what} {path} has {status.st_size} bytes and cannot be a PEM file")
    return status


def explain(credential: Credential, now: float | None = None) -> FdtError | None:
    """Say what is wrong with the credential; None if nothing is, as far as the files themselves can tell.

    Loads cryptography: call it after a failure only.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        chain = x509.load_pem_x509_certificates(_content(credential.cert_path))
    except ValueError:
        return BadCredential(
            f"{credential.cert_path} holds no readable certificate: not PEM, or cut off", remedy=credential.another
        )
    except OSError as exc:
        return BadCredential(f"cannot read {credential.cert_path}: {exc.strerror}", remedy="check its owner and mode")
    try:
        key = serialization.load_pem_private_key(_content(credential.key_path), password=None)
    except TypeError:
        return BadCredential(
            f"the key in {credential.key_path} is encrypted, and nobody is asked for a pass phrase",
            remedy="use a proxy, or a key without a pass phrase",
        )
    except ValueError:
        return BadCredential(f"{credential.key_path} holds no readable private key", remedy=credential.another)
    except OSError as exc:
        return BadCredential(f"cannot read {credential.key_path}: {exc.strerror}", remedy="check its owner and mode")
    if key.public_key() != chain[0].public_key():
        return BadCredential(
            f"the key in {credential.key_path} does not belong to the first certificate in {credential.cert_path}",
            remedy="put the certificate that was made for this key first, then the key, then the rest of the chain",
        )
    return _explain_dates(credential, chain, time.time() if now is None else now)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(MAX_FILE_BYTES)


def _explain_dates(credential: Credential, chain: list[x509.Certificate], now: float) -> FdtError | None:
    path = credential.cert_path
    for certificate in chain:
        name = certificate.subject.rfc4514_string()
        end, start = certificate.not_valid_after_utc, certificate.not_valid_before_utc
        if end.timestamp() <= now:
            return CredentialExpired(
                f"{path}: the certificate {name} expired at {end:%Y-%m-%d %H:%M:%S} UTC", remedy=credential.another
            )
        if start.timestamp() > now:
            return BadCredential(
                f"{path}: the certificate {name} is valid only from {start:%Y-%m-%d %H:%M:%S} UTC",
                remedy="check this machine's clock",
            )
    return None
