"""Which account a caller's movers run under, and whether this process can start movers under it at all.

Decides what of [accounts] can work here, so that a daemon that could move nothing does not start.
"""

from __future__ import annotations

import os
import pwd

from authsvc.accounts import choose_account, local_account
from authsvc.errors import AccountRefused
from authsvc.gridmap import GridmapFile
from authsvc.identity import Identity
from fdtcp.errors import BadSettings
from fdtd.config import Settings, is_loopback_only


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
        """Read the grid-mapfile.  Raises BadGridmap."""
        self._settings = settings.accounts
        self._gridmap = GridmapFile(settings.security.gridmap)
        self._gridmap.current()

    def authorise(self, identity: Identity, requested: str | None) -> str:
        """Return the account.  Raises NotMapped, AccountRefused."""
        mapped = self._gridmap.accounts_of(identity.dn)
        if self._settings.mode != "same":
            return local_account(choose_account(identity.dn, mapped, requested), self._settings.min_uid).pw_name
        own = own_account()
        account = choose_account(identity.dn, mapped, own if requested is None and own in mapped else requested)
        if account != own:
            # Here the mapping only authorises: there is no other account to change to.
            raise AccountRefused(f"{identity.dn} maps to {account!r}, but movers run as {own!r} here")
        return account
