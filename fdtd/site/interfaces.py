"""Which addresses of this host carry the bytes.

Addresses change when a circuit is allocated, so they are read anew for every job.  Decides which of the host's
addresses [data] interfaces means now, and what a user's narrowing leaves of them.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from fdtcp.errors import OptionRefused, Phase
from fdtd.errors import NoDataAddress
from fdtd.site.config import Network
from fdtd.site.peers import Address, parse_address

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def data_interfaces(configured: Sequence[str]) -> list[Interface]:
    """Return the data addresses of now with their networks.  Raises NoDataAddress."""
    present = _present()
    if not configured:
        found = [one for _, one in present if not one.ip.is_loopback]
        if not found:
            raise NoDataAddress("this host has no address but loopback", phase=Phase.PREPARE)
        return found
    found = []
    for word in configured:
        found += _addressed(word, present) if _is_address(word) else [one for name, one in present if name == word]
    if not found:
        raise NoDataAddress(f"none of {', '.join(configured)} has an address on this host now", phase=Phase.PREPARE)
    return found


def data_addresses(configured: Sequence[str], wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the data addresses of now, or those of them that the user wants.

    Raises NoDataAddress, and OptionRefused for a wanted address that is not one of them.
    """
    addresses = [one.ip for one in data_interfaces(configured)]
    if not wanted:
        return tuple(map(str, addresses))
    chosen: list[Address] = []
    for text in wanted:
        try:
            address = parse_address(text)
        except ValueError:
            raise OptionRefused(f"{text[:64]!r} is not a numeric address", phase=Phase.PREPARE) from None
        if address not in addresses:
            raise OptionRefused(
                f"{address} is not a data address of this host; it has {', '.join(map(str, addresses))}",
                phase=Phase.PREPARE,
            )
        if address not in chosen:
            chosen.append(address)
    return tuple(map(str, chosen))


def data_networks(configured: Sequence[str]) -> list[Network]:
    """Return the networks of the data interfaces: where peers are neighbours."""
    return [one.network for one in data_interfaces(configured)]


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True


def _present() -> list[tuple[str, Interface]]:
    """Return (interface name, address with network) of what is up; scoped addresses are no use to a peer."""
    import psutil

    up = {name for name, facts in psutil.net_if_stats().items() if facts.isup}
    found: list[tuple[str, Interface]] = []
    for name, entries in psutil.net_if_addrs().items():
        for entry in entries:
            if entry.family not in (socket.AF_INET, socket.AF_INET6) or name not in up or "%" in entry.address:
                continue
            bits = 32 if entry.family == socket.AF_INET else 128
            length = int(ipaddress.ip_address(entry.netmask)).bit_count() if entry.netmask else bits
            one = ipaddress.ip_interface(f"{entry.address}/{length}")
            if not one.ip.is_link_local:
                found.append((name, one))
    return found


def _addressed(word: str, present: Sequence[tuple[str, Interface]]) -> list[Interface]:
    """Return the address with the network of its interface, if this host can bind it (127.1.0.2 it always can)."""
    address = ipaddress.ip_address(word)
    for _, one in present:
        if one.ip == address:
            return [one]
    with socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((word, 0))
        except OSError:
            return []
    return [ipaddress.ip_interface(word)]
