"""Where a source may connect to."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from fdtcp.model.order import Endpoint
from fdtd.site.peers import parse_address, why_refused

OWN = [ip_network("10.1.0.0/24"), ip_network("127.0.0.0/8"), ip_network("fd00::/64")]


@pytest.mark.parametrize("address", ["10.1.0.7", "8.8.8.8", "2001:4860:4860::8888", "fd00::7"])
def test_neighbours_and_global_addresses_are_allowed(address: str) -> None:
    assert why_refused([Endpoint(address, 54321)], [], OWN) is None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.1.0.2",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.1.1",
        "fe80::1",
        "fe80::1%eth0",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",  # noqa: S104  # not bound, refused
        "::",
        "10.2.0.7",
        "192.168.1.1",
        "255.255.255.255",
        "64:ff9b::10.2.0.7",
        "2002:a02:7::1",
        "::127.0.0.1",
        "::ffff:0:10.2.0.7",
        "fec0::7",
        "localhost",
        "127.1",
        "0x7f000001",
        "2130706433",
        "",
        "8.8.8.8 ",
    ],
)
def test_everything_else_is_refused(address: str) -> None:
    assert why_refused([Endpoint(address, 54321)], [], OWN) is not None


def test_a_list_replaces_the_default_rules() -> None:
    listed = [ip_network("127.0.0.0/8")]
    assert why_refused([Endpoint("127.1.0.2", 54321)], listed, []) is None
    assert why_refused([Endpoint("::ffff:127.1.0.2", 54321)], listed, []) is None
    assert why_refused([Endpoint("8.8.8.8", 54321)], listed, []) is not None


@pytest.mark.parametrize("port", [-1, 0, 22, 1023, 65536])
def test_ports_of_the_system_are_refused(port: int) -> None:
    assert why_refused([Endpoint("8.8.8.8", port)], [], OWN) is not None


def test_one_bad_endpoint_among_good_ones_refuses_all() -> None:
    assert why_refused([Endpoint("8.8.8.8", 54321), Endpoint("127.0.0.1", 54321)], [], OWN) is not None


@pytest.mark.parametrize("count", [0, 17])
def test_the_number_of_endpoints_is_limited(count: int) -> None:
    assert why_refused([Endpoint("8.8.8.8", 54321)] * count, [], OWN) is not None


def test_an_address_in_ipv6_clothes_is_undressed() -> None:
    assert str(parse_address("::ffff:10.0.0.1")) == "10.0.0.1"
