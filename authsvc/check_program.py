"""`authsvc check`: what is looked at when, as the arguments or a configuration file say.

Decides which files belong to a host and which to a user.  A configuration is read for its credentials only, so that
fdtd.conf and authsvc.conf will both do.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from authsvc import siterules
from authsvc.accounts import MIN_UID
from authsvc.authorities import TrustRules
from authsvc.checking import Patience, check_authorities, check_caller_list, check_credential
from authsvc.credentials import Credential, find_proxy
from authsvc.findings import Finding, Level
from authsvc.mapchecking import check_fqanmap, check_gridmap
from authsvc.service_config import load_config
from authsvc.trust import find_ca_dir
from fdtcp.errors import FdtError
from fdtcp.settings import load_settings
from fdtcp.value import dataclass

# What fdtd.conf says of credentials; the rest of it is fdtd's to judge.
_DAEMON_SPEC: Final = f"""
[security]
certificate = absolute(default="/etc/grid-security/fdt/fdtcert.pem")
key = absolute(default="/etc/grid-security/fdt/fdtkey.pem")
ca_dir = absolute(default="/etc/grid-security/certificates")
gridmap = absolute(default="/etc/grid-security/grid-mapfile")
fqanmap = absolute_if_any(default="")
{siterules.TRUST_SPEC.rstrip()}
[accounts]
source = string(default="file")
mode = string(default="sudo")
min_uid = integer(min=1, default={MIN_UID})
""".strip().splitlines()


@dataclass(frozen=True, slots=True)
class Look:
    """What to look at; None or an empty text: not at this."""

    credentials: tuple[Credential, ...]
    ca_dir: str
    rules: TrustRules
    gridmap: str = ""
    fqanmap: str = ""
    min_uid: int | None = None
    callers: tuple[str, ...] | None = None
    warning: float | None = None
    critical: float | None = None

    def look(self) -> Iterator[Finding]:
        """Look at all of it."""
        for credential in self.credentials:
            yield from check_credential(credential, self.ca_dir, self.rules, self._patience(credential))
        yield from check_authorities(self.ca_dir, self.rules)
        if self.callers is not None:
            yield from check_caller_list(self.callers)
        if self.gridmap:
            yield from check_gridmap(self.gridmap, self.min_uid)
        if self.fqanmap:
            yield from check_fqanmap(self.fqanmap, self.min_uid)

    def _patience(self, credential: Credential) -> Patience:
        usual = Patience.for_kind(credential)
        return Patience(
            usual.warning if self.warning is None else self.warning,
            usual.critical if self.critical is None else self.critical,
        )


def check(options: argparse.Namespace) -> list[Finding]:
    """Look as the command line says.  What keeps from looking at all is a finding of the level UNKNOWN."""
    try:
        return list(_plan(options).look())
    except FdtError as exc:
        level = Level.CRITICAL if exc.code == "bad-credential" else Level.UNKNOWN
        return [Finding(level, "check", str(exc))]


def _plan(options: argparse.Namespace) -> Look:
    look = _from_config(options.config) if options.config else _from_arguments(options)
    return replace(
        look,
        ca_dir=options.ca_dir or look.ca_dir,
        gridmap=options.gridmap or look.gridmap,
        fqanmap=options.fqanmap or look.fqanmap,
        warning=options.warning,
        critical=options.critical,
    )


def _from_arguments(options: argparse.Namespace) -> Look:
    ca_dir = find_ca_dir(options.ca_dir, os.environ)
    if options.cert:
        return Look((Credential(options.cert, options.key or options.cert),), ca_dir, TrustRules())
    return Look((find_proxy(options.proxy, os.environ, os.geteuid()),), ca_dir, TrustRules())


def _from_config(path: str) -> Look:
    """Read either of the two files; only that of the account service has [renew] or [service] callers."""
    sections = load_settings(path, ["[service]", "callers = string_list(default=None)"], ignore_unknown=True)
    if "renew" in sections or sections["service"]["callers"] is not None:
        service = load_config(path)
        own = service.security
        return Look(
            (Credential(own.certificate, own.key), *(Credential(one.proxy, one.proxy) for one in service.renew)),
            own.ca_dir,
            own.trust,
            service.accounts.gridmap,
            service.accounts.fqanmap,
            callers=service.service.callers,
        )
    sections = load_settings(path, _DAEMON_SPEC, ignore_unknown=True)
    security, accounts = sections["security"], sections["accounts"]
    is_file = accounts["source"] == "file"
    return Look(
        (Credential(security["certificate"], security["key"]),),
        security["ca_dir"],
        siterules.trust_rules(security),
        security["gridmap"] if is_file else "",
        security["fqanmap"] if is_file else "",
        # Where everything runs as one account the map only authorises.
        None if accounts["mode"] == "same" else accounts["min_uid"],
    )
