"""Where a source may connect to.

A user tells the source daemon where to send; without rules the daemon would be everybody's tool for reaching into
networks that only it can see.  Decides which endpoints are acceptable, by text alone: numeric addresses, so that no
name is looked up on a user's word.  The reason of a refusal is for the log; the user hears one generic code.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

from fdtcp.contract import MAX_ENDPOINTS
from fdtcp.model.order import Endpoint
from fdtd.site.config import Network

# What the registries hand out (RFC 4291, IANA).  Outside are NAT64 and IPv4-compatible addresses, which lead to an IPv4
# address that no rule here has seen, and the site-local ones of old; Python calls all of them global.
_UNICAST_6: Final = ipaddress.IPv6Network("2000::/3")
# Below are the services of the system, which speak protocols that a stream of ours could be mistaken for.
MIN_PORT: Final = 1024

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def why_refused(
    endpoints: Sequence[Endpoint], listed: Sequence[Network], own: Sequence[Network], key: str = "[data] peers"
) -> str | None:
    """Return for the log which rule forbids connecting to these endpoints, or None.

    `listed` is what the site says under `key`; when that is empty the host's own networks, `own`, and global unicast
    count.
    """
    if not endpoints or len(endpoints) > MAX_ENDPOINTS:
        return f"{len(endpoints)} endpoints; 1 to {MAX_ENDPOINTS} are allowed"
    for endpoint in endpoints:
        why = _why_refused(endpoint, listed, own, key)
        if why is not None:
            return f"{endpoint.address[:64]!r} port {endpoint.port}: {why}"
    return None


def parse_address(text: str) -> Address:
    """Read a numeric address without scope; an IPv4 address in IPv6 clothes is the IPv4 address.  Raises ValueError."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise ValueError(f"{text!r} has a scope")
        # ::ffff:127.0.0.1 reaches loopback, whatever the rules on 127.0.0.0/8 say.
        return address.ipv4_mapped or address
    return address


def _why_refused(endpoint: Endpoint, listed: Sequence[Network], own: Sequence[Network], key: str) -> str | None:
    if not MIN_PORT <= endpoint.port <= 65535:
        return f"ports below {MIN_PORT} are never connected to"
    try:
        address = parse_address(endpoint.address)
    except ValueError:
        return "not a numeric address"
    if listed:
        return None if any(address in network for network in listed) else f"not in {key}"
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        return f"loopback, link-local and multicast have to be listed in {key}"
    if _is_global(address) or any(address in network for network in own):
        return None
    return f"neither global nor in a network of this host; list it in {key}"


def _is_global(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and (address not in _UNICAST_6 or address.sixtofour is not None):
        return False
    return address.is_global
