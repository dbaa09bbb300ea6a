"""A proxy that lives longer than its passphrase: renewed from a MyProxy server, as sites do it by hand with cron.

Decides when a proxy is renewed, what a new one must be to take its place, and how it takes it: the old file stays as it
is until the new proxy has been verified, and then the name changes hands in one step.  The wire of MyProxy is left to
the program `myproxy-logon`, which speaks all its dialects; with a VO it calls `voms-proxy-init` for the attributes.

What entitles to a renewal is two things together: the old proxy while it lives, and a certificate (the host's) that the
server's administrator and the depositor have allowed to renew.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
import os
import shlex
import signal
import subprocess
import tempfile
from typing import Final

from cryptography import x509

from authsvc import attributecert, chains
from authsvc.credentials import MAX_FILE_BYTES, Credential, check_files, explain
from authsvc.errors import BadCredential, RenewalFailed
from authsvc.identity import proxy_info, subject_dn
from authsvc.recognition import VOMS_EXTENSION
from authsvc.service_config import RenewSettings
from fdtcp.errors import FdtError
from fdtcp.value import dataclass

_log: Final = logging.getLogger("authsvc.renewal")

PROGRAM: Final = "myproxy-logon"
# A busy server and a VOMS server behind it; a timer starts us again anyway.
WITHIN_S: Final = 120.0
# A new proxy that has less than this part of what was asked for: what is deposited at the server comes to its end.
_SHORT: Final = 0.5
_VOMS_OID: Final = x509.ObjectIdentifier("1.3.6.1.4.1.8005.100.100.5")


@dataclass(frozen=True, slots=True)
class Renewed:
    """What became of one proxy: when it ends, whether that is new, and what an administrator should know."""

    name: str
    path: str
    end: dt.datetime
    is_new: bool
    warning: str = ""


def renew(wanted: RenewSettings, ca_dir: str, now: float, *, force: bool = False) -> Renewed:
    """Renew one proxy if it is time, or in any case with `force`.

    Raises BadCredential, CredentialExpired or RenewalFailed; the old proxy is untouched then.
    """
    _check_old(wanted)
    old_end = chains.first_end(chains.read(wanted.proxy))
    if not force and old_end.timestamp() - now >= wanted.when_left:
        return Renewed(wanted.name, wanted.proxy, old_end, is_new=False)
    # A directory of our own: the programs write the proxy in several steps, and nobody should see it half-made.
    with tempfile.TemporaryDirectory(prefix="authsvc-renew-") as directory:
        given, made = os.path.join(directory, "old"), os.path.join(directory, "new")
        owner = _copy(wanted.proxy, given)
        _run(wanted, ca_dir, given, made)
        new = _check_new(wanted, ca_dir, Credential(made, made), chains.read(given), now)
        with open(made, "rb") as file:
            _install(file.read(), wanted.proxy, owner)
    new_end = chains.first_end(new)
    _log.info("event=renewed name=%s proxy=%s end=%s", wanted.name, wanted.proxy, new_end.isoformat())
    warning = ""
    if new_end.timestamp() - now < wanted.lifetime * _SHORT:
        warning = (
            f"it ends early: what is deposited at {wanted.server} comes to its end; deposit anew with myproxy-init"
        )
    return Renewed(wanted.name, wanted.proxy, new_end, is_new=True, warning=warning)


def _check_old(wanted: RenewSettings) -> None:
    """Refuse an old proxy that cannot be renewed, with words that help.  Root may renew for others."""
    old = Credential(wanted.proxy, wanted.proxy)
    uid = os.geteuid()
    if uid == 0 and os.path.lexists(wanted.proxy):
        uid = os.lstat(wanted.proxy).st_uid
    check_files(old, uid)
    check_files(Credential(wanted.certificate, wanted.key), os.geteuid())
    for credential in (old, Credential(wanted.certificate, wanted.key)):
        if (bad := explain(credential)) is not None:
            raise bad


def _copy(source: str, target: str) -> tuple[int, int]:
    """Copy a proxy and return whose it is; the copy is ours, which the grid's programs want of what they use.

    Owner and content come from one descriptor: the directory may be somebody else's, who puts a third one's proxy into
    it just now.  The new proxy is then the third one's, too, and the somebody cannot read it.
    """
    try:
        with open(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(MAX_FILE_BYTES)
    except OSError as exc:
        raise BadCredential(f"cannot read the proxy {source}: {exc.strerror}") from exc
    if os.geteuid() not in (0, status.st_uid):
        raise BadCredential(f"the proxy {source} belongs to uid {status.st_uid}")
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
        copy.write(content)
    return status.st_uid, status.st_gid


def command_of(wanted: RenewSettings, given: str, made: str) -> list[str]:
    """Return the command; `given` is the old proxy, `made` where the new one goes."""
    command = [PROGRAM, "--quiet", "--no_passphrase", "--pshost", wanted.server, "--psport", str(wanted.port)]
    command += ["--authorization", given, "--out", made]
    # Whole hours only; rounded up, so that the timer's next run comes in time.
    command += ["--proxy_lifetime", str(max(1, math.ceil(wanted.lifetime / 3600)))]
    command += ["--username", wanted.username] if wanted.username else ["--dn_as_username"]
    if wanted.credential:
        command += ["--credname", wanted.credential]
    if wanted.vo:
        command += ["--voms", wanted.vo]
    return command


def _run(wanted: RenewSettings, ca_dir: str, given: str, made: str) -> None:
    command = command_of(wanted, given, made)
    environment = {name: value for name, value in os.environ.items() if name != "X509_USER_PROXY"}
    environment |= {
        "X509_USER_CERT": wanted.certificate,
        "X509_USER_KEY": wanted.key,
        "X509_CERT_DIR": ca_dir,
    }
    _log.debug("event=run command=%r", shlex.join(command))
    try:
        # A group of its own: voms-proxy-init below it has to go, too, when the time is over.
        with subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        ) as process:
            try:
                said, _ = process.communicate(timeout=WITHIN_S)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
    except FileNotFoundError as exc:
        raise RenewalFailed(f"{PROGRAM} is not installed", remedy="install it (Debian, EPEL: myproxy)") from exc
    except subprocess.TimeoutExpired as exc:
        raise RenewalFailed(f"{wanted.name}: {wanted.server} did not answer within {WITHIN_S:g} s") from exc
    if process.returncode != 0 or not os.path.exists(made):
        lines = " / ".join(said.decode("utf-8", "replace").split("\n")[-6:]).strip(" /")
        by_hand = shlex.join(command_of(wanted, wanted.proxy, "new-proxy"))
        raise RenewalFailed(
            f"{wanted.name}: {PROGRAM} failed ({lines or f'status {process.returncode}'})",
            remedy=f"try it by hand: X509_USER_CERT={wanted.certificate} X509_USER_KEY={wanted.key} {by_hand}",
        )


def _check_new(
    wanted: RenewSettings, ca_dir: str, made: Credential, old: list[x509.Certificate], now: float
) -> list[x509.Certificate]:
    """Return the chain of the new proxy.  Raises RenewalFailed unless it is better than the old one in every way."""
    try:
        check_files(made, os.geteuid())
        if (bad := explain(made, now)) is not None:
            raise bad
        new = chains.read(made.cert_path)
        chains.verify(new, ca_dir)
    except FdtError as exc:
        raise RenewalFailed(f"{wanted.name}: the new proxy cannot be used: {exc.reason}") from exc
    if _owner(new) != _owner(old):
        raise RenewalFailed(f"{wanted.name}: the new proxy is of {_owner(new)}, the old one of {_owner(old)}")
    if chains.first_end(new) <= chains.first_end(old):
        raise RenewalFailed(
            f"{wanted.name}: the new proxy would end at {chains.first_end(new):%Y-%m-%d %H:%M} UTC, before the old one",
            remedy=f"what is deposited at {wanted.server} has come to its end: deposit anew with myproxy-init",
        )
    lost = [fqan for fqan in attributes(old) if fqan not in attributes(new)]
    if lost or (wanted.vo and not attributes(new)):
        raise RenewalFailed(
            f"{wanted.name}: the new proxy lacks the VOMS attributes {', '.join(lost) or 'of ' + wanted.vo}",
            remedy="set vo in authsvc.conf, and let voms-proxy-init reach the VOMS server",
        )
    return new


def attributes(chain: list[x509.Certificate]) -> tuple[str, ...]:
    """Return the FQANs in the outermost attribute certificates of a chain; what they are worth is not asked here."""
    for certificate in chain:
        if VOMS_EXTENSION not in certificate.public_bytes(chains.DER):
            continue
        try:
            extension = certificate.extensions.get_extension_for_oid(_VOMS_OID)
            value = extension.value.public_bytes()
            return tuple(fqan for item in attributecert.parse(value) for fqan in item.fqans)
        except (x509.ExtensionNotFound, ValueError):
            return ()
    return ()


def _owner(chain: list[x509.Certificate]) -> str:
    for certificate in chain:
        if proxy_info(certificate) is None:
            return subject_dn(certificate)
    return "nobody: the user's certificate is missing"


def _install(content: bytes, path: str, owner: tuple[int, int]) -> None:
    """Put the new proxy in the place of the old one, in one step, with its owner and closed to others.

    By the descriptor of its directory, without following symlinks: root may do this in a directory of somebody else.
    """
    name = os.path.basename(path)
    temporary = f".{name}.renewed"
    try:
        directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                os.unlink(temporary, dir_fd=directory)  # of a run that was killed
            except FileNotFoundError:
                pass  # as it should be
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o600, dir_fd=directory), "wb") as file:
                file.write(content)
                file.flush()
                if owner != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), *owner)
                os.fsync(file.fileno())
            os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as exc:
        raise RenewalFailed(f"cannot put the new proxy at {path}: {exc.strerror}") from exc
