"""Data ports."""

from __future__ import annotations

import pytest

from fdtcp.errors import PortsExhausted
from fdtcp.model.order import Endpoint
from fdtd.site.ports import PortLeases

A, B = "127.1.0.2", "127.2.0.2"


def test_the_port_that_was_released_last_is_tried_last() -> None:
    ports = PortLeases(50000, 50002)
    assert ports.candidates([A]) == (50000, 50001, 50002)
    ports.lease([Endpoint(A, 50000)], "j")
    assert ports.candidates([A]) == (50001, 50002)
    ports.release([Endpoint(A, 50000)])
    assert ports.candidates([A]) == (50001, 50002, 50000)


def test_a_lease_is_for_one_address() -> None:
    ports = PortLeases(50000, 50000)
    ports.lease([Endpoint(A, 50000)], "j")
    assert ports.candidates([B]) == (50000,)
    with pytest.raises(PortsExhausted, match="all 1 data ports"):
        ports.candidates([A, B])


def test_releasing_what_is_not_leased_changes_nothing() -> None:
    ports = PortLeases(50000, 50001)
    ports.release([Endpoint(A, 50000), Endpoint(A, 1)])
    assert ports.candidates([A]) == (50000, 50001)


def test_leases_show_who_holds_them() -> None:
    ports = PortLeases(50000, 50001)
    ports.lease([Endpoint(A, 50001)], "job")
    assert ports.held() == {Endpoint(A, 50001): "job"}
