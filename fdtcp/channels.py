"""From an address to an authenticated connection, as the user who runs fdtcp.

Decides which credential, which authorities and which names of hosts are used, and whose side a failure is on.  It
loads Pyro5 and TLS when the first connection is made, not before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Final

from fdtcp.errors import Fault, FdtError, Side, Unreachable
from fdtcp.model.pfn import Address
from fdtcp.value import dataclass

if TYPE_CHECKING:
    from authsvc.authorities import TrustRules
    from authsvc.credentials import Credential
    from fdtcp.lines import Channel

DEFAULT_CA_DIR: Final = "/etc/grid-security/certificates"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls, and whom he trusts.

    `proxy` is the file named by the user (None: the usual places); `accounts` are the accounts to ask for, by side;
    `peers` maps a host to the DN that its certificate has instead of the host's name; `token` is the file of a bearer
    token, or "discover" (None: none is sent); `trust` is what is asked of hosts' CAs (None: the usual).
    """

    proxy: str | None = None
    ca_dir: str = DEFAULT_CA_DIR
    accounts: Mapping[Side, str] = field(default_factory=dict)
    peers: Mapping[str, str] = field(default_factory=dict)
    token: str | None = None
    trust: TrustRules | None = None

    def find(self) -> Credential:
        """Return the user's credential.

        Raises BadCredential that says where it was looked for, CredentialExpired for what any daemon would refuse.
        """
        from authsvc import expiry
        from authsvc.credentials import check_files, find_proxy

        credential = find_proxy(self.proxy, os.environ, os.geteuid())
        check_files(credential, os.geteuid())
        expiry.warning(credential, time.time())
        return credential

    def warning(self) -> str | None:
        """Return what the user should know of his proxy before the jobs begin: that it ends within minutes."""
        from authsvc import expiry

        return expiry.warning(self.find(), time.time())

    def open(self, side: Side, address: Address, deadline: float) -> Channel:
        """Connect to the daemon of a side before `deadline` (monotonic).

        The files are read anew each time: a proxy or token that was renewed serves for the next connection.  Raises
        FdtError, seen at the client's side if the client's own files are to blame.
        """
        from authsvc.channel import Connection

        try:
            return Connection.open(
                address.host,
                address.port,
                credential=self.find(),
                ca_dir=self.ca_dir,
                deadline=deadline,
                account=self.accounts.get(side),
                expect_dn=self.peers.get(address.host),
                trust=self.trust,
                token=self._find_token(),
            )
        except FdtError as exc:
            if exc.side is None and (exc.fault is Fault.USER or exc.code == "bad-ca-directory"):
                exc.side = Side.CLIENT
            raise
        except OSError as exc:
            raise Unreachable(f"{address}: {exc.strerror or exc}") from exc

    def _find_token(self) -> str | None:
        if self.token is None:
            return None
        from authsvc.bearer import find_token

        return find_token(self.token, os.environ, os.geteuid())


def accounts_by_side(both: str | None, source: str | None = None, destination: str | None = None) -> dict[Side, str]:
    """Return which account to ask for at which side; what is said for one side wins over what is said for both."""
    wanted = {Side.SOURCE: source or both, Side.DESTINATION: destination or both}
    return {side: account for side, account in wanted.items() if account}
