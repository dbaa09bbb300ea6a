"""From a verified chain to a caller who is let in: all rules of a site, in their order.

    chain of TLS -> who it is -> signing policies and CRLs -> ban list -> attributes of his VO -> Identity

Decides the order, and no more; each step is a module of its own.  The account is decided afterwards, by whoever holds
the map.  Server side only: it loads cryptography.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Final

from authsvc.authorities import Authorities, TrustRules
from authsvc.bans import BanList
from authsvc.credentials import Credential
from authsvc.errors import CredentialRefused
from authsvc.identity import Identity, IdentityRules, identify
from fdtcp.value import dataclass

if TYPE_CHECKING:
    from authsvc.voms import Attributes

_log: Final = logging.getLogger("authsvc.channel")

DEFAULT_VOMS_DIR: Final = "/etc/grid-security/vomsdir"
# The extension of a proxy that carries attribute certificates; in DER, so that looking for it costs nothing.
VOMS_EXTENSION: Final = bytes.fromhex("060a2b06010401be45646405")


@dataclass(frozen=True, slots=True)
class SiteRules:
    """What a site decides about its callers.

    `ban_list`: a file, "" for none.  `refuse_bad_voms`: whether attributes that do not hold end the connection; else
    they do not count, and the caller is whoever he is without them.
    """

    trust: TrustRules = field(default_factory=TrustRules)
    identity: IdentityRules = field(default_factory=IdentityRules)
    ban_list: str = ""
    voms_dir: str = DEFAULT_VOMS_DIR
    refuse_bad_voms: bool = False


class Recognition:
    """Recognises the callers of one daemon; safe to use from all threads."""

    def __init__(self, rules: SiteRules, ca_dir: str, host: Credential) -> None:
        """`host` is the daemon's own certificate, whose names attributes may be meant for.  Raises BadBanList."""
        self._rules = rules
        self._ca_dir = ca_dir
        self._host = host
        self._authorities = Authorities(ca_dir, rules.trust)
        self._attributes: Attributes | None = None
        self.bans = BanList(rules.ban_list)

    def recognise(self, chain: Sequence[bytes], now: float) -> Identity:
        """Return who calls.  Raises FdtError that says why he is not let in."""
        identity = identify(chain, now, self._rules.identity)
        self._authorities.judge(chain[identity.depth :], now)
        self.bans.check(identity.dn)
        if not any(VOMS_EXTENSION in der for der in chain[: identity.depth + 1]):
            return identity
        return self._with_attributes(identity, chain, now)

    def _with_attributes(self, identity: Identity, chain: Sequence[bytes], now: float) -> Identity:
        # Here, because it loads asn1crypto and OpenSSL's own bindings, and most callers bring no attributes.
        from authsvc.voms import Attributes, BadAttributes

        if self._attributes is None:
            rules = self._rules
            self._attributes = Attributes(
                rules.voms_dir, self._ca_dir, self._authorities, rules.identity, self._host.cert_path
            )
        try:
            fqans, end = self._attributes.read(chain[: identity.depth + 1], now)
        except BadAttributes as exc:
            problem = f"the VOMS attributes of {identity.dn} do not count: {exc}"
            if self._rules.refuse_bad_voms:
                raise CredentialRefused(problem, remedy="make a new proxy with voms-proxy-init") from exc
            _log.warning("event=voms-dropped dn=%r reason=%r", identity.dn, str(exc))
            return replace(identity, fqan_problem=problem)
        # A connection ends with the first of what it rests on.
        return replace(identity, fqans=fqans, not_after=min(identity.not_after, end))
