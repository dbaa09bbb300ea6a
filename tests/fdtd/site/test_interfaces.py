"""Data addresses of this very host."""

from __future__ import annotations

import ipaddress

import psutil
import pytest

from fdtcp.errors import OptionRefused
from fdtd.errors import NoDataAddress
from fdtd.site.interfaces import data_addresses, data_interfaces, data_networks


def test_a_loopback_address_can_be_a_data_address() -> None:
    assert data_addresses(["127.1.0.2", "127.2.0.2"]) == ("127.1.0.2", "127.2.0.2")


def test_an_interface_name_stands_for_its_addresses() -> None:
    assert "127.0.0.1" in data_addresses(["lo"])
    assert ipaddress.ip_network("127.0.0.0/8") in data_networks(["lo"])


def test_nothing_configured_means_all_but_loopback() -> None:
    others = [
        entry.address
        for name, entries in psutil.net_if_addrs().items()
        for entry in entries
        if entry.family.name == "AF_INET"
        and not entry.address.startswith(("127.", "169.254."))
        and psutil.net_if_stats()[name].isup
    ]
    if others:
        assert set(others) <= set(data_addresses([]))
        assert not any(one.ip.is_loopback for one in data_interfaces([]))
    else:
        with pytest.raises(NoDataAddress):
            data_addresses([])


@pytest.mark.parametrize("word", ["203.0.113.7", "2001:db8::7", "nosuch0"])
def test_what_this_host_does_not_have_is_told(word: str) -> None:
    with pytest.raises(NoDataAddress, match=word):
        data_addresses([word])


def test_a_user_can_narrow_but_not_widen() -> None:
    configured = ["127.1.0.2", "127.2.0.2"]
    assert data_addresses(configured, ["127.2.0.2", "127.2.0.2"]) == ("127.2.0.2",)
    for wanted in ("127.3.0.2", "lo", ""):
        with pytest.raises(OptionRefused):
            data_addresses(configured, [wanted])
