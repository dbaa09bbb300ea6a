"""The keys by which a site's configuration files say its rules for callers; one spelling for all daemons.

Decides names, allowed values and defaults, for the `[security]` sections of fdtd.conf and authsvc.conf.  What the rules
mean is said where they are kept.  The floors can only be raised: OpenSSL refuses what is below the defaults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from authsvc.authorities import ExpiredCrl, Need, TrustRules

if TYPE_CHECKING:
    from authsvc.recognition import SiteRules

TRUST_SPEC: Final = """\
signing_policy = option("required", "if-present", "off", default="required")
crl = option("required", "if-present", "off", default="if-present")
expired_crl = option("refuse", "accept", default="refuse")
"""
SPEC: Final = f"""\
{TRUST_SPEC}\
limited_proxies = option("accept", "refuse", default="accept")
max_proxies = integer(min=0, max=50, default=10)
min_rsa_bits = integer(min=2048, max=16384, default=2048)
min_ec_bits = integer(min=256, max=521, default=256)
min_hash_bits = integer(min=224, max=512, default=224)
ban_list = absolute_if_any(default="")
voms_dir = absolute(default="/etc/grid-security/vomsdir")
bad_voms = option("drop", "refuse", default="drop")
"""


def trust_rules(section: dict[str, Any]) -> TrustRules:  # Any: the configspec says what a key holds
    """Take the keys of TRUST_SPEC out of a checked section, and return them as rules."""
    return TrustRules(
        Need(section.pop("signing_policy")), Need(section.pop("crl")), ExpiredCrl(section.pop("expired_crl"))
    )


def site_rules(section: dict[str, Any]) -> SiteRules:  # Any: as above
    """Take the keys of SPEC out of a checked section, and return them as rules."""
    # Here, because they load cryptography, and not every program that reads a configuration needs that.
    from authsvc.identity import IdentityRules
    from authsvc.recognition import SiteRules

    return SiteRules(
        trust_rules(section),
        IdentityRules(
            section.pop("limited_proxies") == "accept",
            section.pop("max_proxies"),
            section.pop("min_rsa_bits"),
            section.pop("min_ec_bits"),
            section.pop("min_hash_bits"),
        ),
        section.pop("ban_list"),
        section.pop("voms_dir"),
        section.pop("bad_voms") == "refuse",
    )
