"""Which local account a caller gets, and which accounts nobody gets.

Decides between the accounts that a map offers and the one that was asked for, and the floor below which no account is
used whatever a map says.  Where an account is changed to, the floor is checked there, by `local_account`.
"""

from __future__ import annotations

import pwd
from collections.abc import Sequence
from typing import Final

from authsvc.errors import AccountRefused, NotMapped

# Below this are system accounts (login.defs: UID_MIN).
MIN_UID: Final = 1000


def choose_account(dn: str, accounts: Sequence[str], requested: str | None, *, where: str = "the grid-mapfile") -> str:
    """Return the requested account if it is one of the `accounts` of `dn`, the first one if none was requested.

    `where` names for the message what was looked at.

    Raises NotMapped.
    """
    if not accounts:
        raise NotMapped(f"{dn} is not in {where}")
    if requested is None:
        return accounts[0]
    if requested not in accounts:
        # Not which ones there are: that is between the caller and the administrator.
        raise NotMapped(
            f"{dn} may not use the account {requested!r}", remedy="leave it out, or ask the site's administrator for it"
        )
    return requested


def local_account(name: str, min_uid: int = MIN_UID) -> pwd.struct_passwd:
    """Return the system's entry of an account that may be changed to.

    Raises AccountRefused for root under any name, for system accounts and for unknown ones.
    """
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError) as exc:
        raise AccountRefused(f"there is no account {name!r} on this host") from exc
    if entry.pw_uid == 0 or entry.pw_gid == 0:
        raise AccountRefused(f"the account {name!r} is root's (uid {entry.pw_uid}, gid {entry.pw_gid})")
    if entry.pw_uid < min_uid:
        raise AccountRefused(f"the account {name!r} has uid {entry.pw_uid}, below {min_uid}: a system account")
    return entry
