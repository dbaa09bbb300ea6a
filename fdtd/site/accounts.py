"""Which account a caller's movers run under, and whether this process can start movers under it at all.

Decides what of [accounts] can work here, so that a daemon that could move nothing does not start.
"""

from __future__ import annotations

import os
import pwd

from authsvc.accountmap import AccountMap, AccountSource
from authsvc.accounts import choose_account, local_account
from authsvc.credentials import Credential
from authsvc.errors import AccountRefused
from authsvc.identity import Identity
from authsvc.service_client import SiteAccounts
from fdtcp.errors import BadSettings
from fdtd.site.config import Settings, is_loopback_only


def check_mode(settings: Settings) -> None:
    """Refuse a mode that cannot work in this process, or must not.  Raises BadSettings."""
    accounts = settings.accounts
    is_root = os.geteuid() == 0
    if accounts.mode == "root" and not is_root:
        raise BadSettings(f"[accounts] mode: root needs a daemon that runs as root, not as {own_account()}")
    if accounts.mode == "same" and is_root:
        if not accounts.allow_root_self:
            raise BadSettings(
                "[accounts] mode: same would run movers as root; use root or sudo, or say allow_root_self = yes for a "
                "demonstration"
            )
        if not is_loopback_only(settings):
            raise BadSettings("[accounts] allow_root_self: only with [service] listen on loopback addresses")
    if accounts.mode == "sudo":
        if is_root:
            raise BadSettings("[accounts] mode: sudo is for a daemon with an account of its own; root needs no sudo")
        for name in ("sudo", "launcher"):
            program = getattr(accounts, name)
            if not os.access(program, os.X_OK):
                raise BadSettings(f"[accounts] {name}: {program} is not a program that {own_account()} can run")


def own_account() -> str:
    """Return the name of the account that the daemon runs as."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


class Accounts:
    """The map from identities to accounts, under the rules of the mode."""

    def __init__(self, settings: Settings) -> None:
        """Read the maps, where they are files.  Raises BadGridmap."""
        self._settings = settings.accounts
        self._source = _open_source(settings)

    def check(self) -> None:
        """Try whether the site's service, if there is one, answers.  Raises the FdtError that explains why not."""
        if isinstance(self._source, SiteAccounts):
            self._source.check()

    def authorise(self, identity: Identity, requested: str | None) -> str:
        """Return the account.  Raises NotMapped, AccountRefused, AccountsUnknown."""
        return self._choose(identity, requested, self._source.accounts_of(identity))

    def recheck(self, identity: Identity, account: str | None) -> str:
        """Judge a known caller again by what is known now, for the daemon's own loop: it must not wait for a service.

        Raises as `authorise`; AccountsUnknown while nobody knows.
        """
        return self._choose(identity, account, self._source.accounts_of(identity, wait=False))

    def _choose(self, identity: Identity, requested: str | None, mapped: tuple[str, ...]) -> str:
        if self._settings.mode != "same":
            account = choose_account(identity.dn, mapped, requested, where=self._source.name)
            return local_account(account, self._settings.min_uid).pw_name
        own = own_account()
        wanted = own if requested is None and own in mapped else requested
        account = choose_account(identity.dn, mapped, wanted, where=self._source.name)
        if account != own:
            # Here the mapping only authorises: there is no other account to change to.
            raise AccountRefused(f"{identity.dn} maps to {account!r}, but movers run as {own!r} here")
        return account


def _open_source(settings: Settings) -> AccountSource:
    security, accounts = settings.security, settings.accounts
    if accounts.source is None:
        return AccountMap(security.gridmap, security.fqanmap)
    credential = Credential(security.certificate, security.key)
    return SiteAccounts(
        *accounts.source,
        credential,
        security.ca_dir,
        fresh_s=accounts.cache,
        stale_s=accounts.stale,
        trust=security.rules.trust,
    )
