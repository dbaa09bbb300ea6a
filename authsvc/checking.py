"""One look at the credentials of a host or a user, before somebody else finds out.

Decides what is looked at and how bad each thing is.  Where a daemon or a client would refuse, it is critical and the
words are theirs, because their code is asked; what is going to be refused later, or refuses others, is a warning.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from typing import Final

from authsvc import chains, expiry
from authsvc.authorities import Authorities, Need, TrustRules
from authsvc.credentials import Credential, check_files, explain
from authsvc.dn import fold
from authsvc.errors import CredentialRefused
from authsvc.findings import Finding, Level
from authsvc.identity import issuer_dn, proxy_info, subject_dn
from authsvc.revocation import MAX_CRL_BYTES, Crl
from authsvc.signingpolicy import parse as parse_policy
from authsvc.trust import check_ca_dir
from fdtcp.errors import FdtError
from fdtcp.value import dataclass

# fetch-crl runs every six hours or so; a list that ends within this has not been fetched for a while.
CRL_WARN_S: Final = 12 * 3600.0
CA_WARN_S: Final = 30 * 86400.0
_CA_FILE: Final = re.compile(r"(?P<stem>[0-9a-f]{8})\.\d+")
_CRL_FILE: Final = re.compile(r"[0-9a-f]{8}\.r\d+")


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds before the end of a credential a look is not OK any more."""

    warning: float
    critical: float

    @classmethod
    def for_kind(cls, credential: Credential) -> Patience:
        """Return what is usual: weeks for a certificate, minutes for a proxy."""
        if credential.is_proxy_file:
            return cls(3600.0, expiry.PROXY_WARN_S)
        return cls(expiry.HOST_WARN_S, expiry.HOST_CRITICAL_S)


def check_credential(credential: Credential, ca_dir: str, rules: TrustRules, patience: Patience) -> Iterator[Finding]:
    """Look at the files, the dates, and the chain as those will who are shown it."""
    now = time.time()
    try:
        check_files(credential, _user_of(credential))
        if (bad := explain(credential, now)) is not None:
            raise bad
        chain = chains.read(credential.cert_path)
        end = chains.first_end(chain).timestamp()
    except FdtError as exc:
        yield Finding(Level.CRITICAL, "credential", str(exc))
        return
    left = end - now
    level = Level.OK if left > patience.warning else Level.WARNING if left > patience.critical else Level.CRITICAL
    what = "proxy" if credential.is_proxy_file else "certificate"
    yield Finding(level, "credential", expiry.describe(what, credential.cert_path, end, now))
    try:
        whole = chains.verify(chain, ca_dir)
        depth = sum(proxy_info(certificate) is not None for certificate in whole)
        Authorities(ca_dir, rules).judge([one.public_bytes(chains.DER) for one in whole[depth:]], now)
        user = whole[depth]
        by = f"{subject_dn(user)}, issued by {issuer_dn(user)}"
        yield Finding(Level.OK, "chain", f"the chain holds: {by}" + (f", at depth {depth}" if depth else ""))
    except FdtError as exc:
        yield Finding(Level.CRITICAL, "chain", f"{credential.cert_path}: {exc}")


def _user_of(credential: Credential) -> int:
    """Return who uses it: we, unless we are root and look after somebody else's."""
    uid = os.geteuid()
    return os.lstat(credential.key_path).st_uid if uid == 0 and os.path.lexists(credential.key_path) else uid


def check_authorities(ca_dir: str, rules: TrustRules) -> Iterator[Finding]:
    """Look at the CA directory: its CAs, and the signing policies and revocation lists beside them."""
    try:
        check_ca_dir(ca_dir)
        names = sorted(os.listdir(ca_dir))
    except FdtError as exc:
        yield Finding(Level.CRITICAL, "ca-directory", str(exc))
        return
    now = time.time()
    stems: dict[str, str] = {}
    problems: list[Finding] = []
    for name in names:
        if (match := _CA_FILE.fullmatch(name)) is None:
            continue
        path = os.path.join(ca_dir, name)
        try:
            authority = chains.read(path)[0]
            dn = subject_dn(authority)
        except (FdtError, CredentialRefused) as exc:
            problems.append(Finding(Level.WARNING, "ca", f"{path}: {exc}"))
            continue
        stems[match["stem"]] = dn
        end = authority.not_valid_after_utc.timestamp()
        if end - now < CA_WARN_S:
            problems.append(Finding(Level.WARNING, "ca", expiry.describe("CA", f"{dn} in {path}", end, now)))
        if rules.signing_policy is not Need.OFF:
            problems += _check_policy(os.path.join(ca_dir, f"{match['stem']}.signing_policy"), dn, rules)
    yield Finding(Level.OK, "ca-directory", f"{ca_dir} holds {len(stems)} CAs")
    yield from problems
    if rules.crl is not Need.OFF:
        yield from _check_crls(ca_dir, [name for name in names if _CRL_FILE.fullmatch(name)], stems, rules, now)


def _check_policy(path: str, dn: str, rules: TrustRules) -> Iterator[Finding]:
    try:
        with open(path, encoding="utf-8") as file:
            policy = parse_policy(file.read())
    except FileNotFoundError:
        if rules.signing_policy is Need.REQUIRED:
            yield Finding(Level.WARNING, "signing-policy", f"nobody with a certificate of {dn} gets in: no {path}")
        return
    except (OSError, ValueError) as exc:
        yield Finding(Level.WARNING, "signing-policy", f"nobody with a certificate of {dn} gets in: {path}: {exc}")
        return
    if not policy.names(dn):
        yield Finding(Level.WARNING, "signing-policy", f"{path} says nothing about its CA {dn}")


def _check_crls(
    ca_dir: str, names: list[str], stems: dict[str, str], rules: TrustRules, now: float
) -> Iterator[Finding]:
    ages: list[float] = []
    for name in names:
        path = os.path.join(ca_dir, name)
        try:
            with open(path, "rb") as file:
                crl = Crl(file.read(MAX_CRL_BYTES))
        except (OSError, ValueError) as exc:
            yield Finding(Level.WARNING, "crl", f"{path} cannot be used: {exc}")
            continue
        ages.append(now - crl.this_update.timestamp())
        end = crl.next_update.timestamp()
        if end - now < CRL_WARN_S:
            yield Finding(Level.WARNING, "crl", expiry.describe("list of revoked certificates", path, end, now))
    without = [dn for stem, dn in stems.items() if not any(name.startswith(f"{stem}.") for name in names)]
    if without and rules.crl is Need.REQUIRED:
        for dn in without:
            yield Finding(Level.WARNING, "crl", f"nobody with a certificate of {dn} gets in: it has no revocation list")
    if ages:
        yield Finding(Level.OK, "crl", f"{len(ages)} revocation lists, the oldest is {max(ages) / 3600:.0f} hours old")
    elif not without or rules.crl is not Need.REQUIRED:
        yield Finding(Level.OK, "crl", f"there are no revocation lists in {ca_dir}")


def check_caller_list(callers: tuple[str, ...]) -> Iterator[Finding]:
    """Look at the list of hosts that may ask the account service."""
    if not callers:
        yield Finding(Level.CRITICAL, "callers", "[service] callers: nobody may ask the account service")
    twice = len(callers) - len({fold(dn) for dn in callers})
    if twice:
        yield Finding(Level.WARNING, "callers", f"[service] callers names {twice} hosts more than once")
