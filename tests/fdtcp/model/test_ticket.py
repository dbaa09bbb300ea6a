"""Tickets of detached jobs."""

from __future__ import annotations

import pytest

from fdtcp.errors import UsageError
from fdtcp.model.pfn import Address
from fdtcp.model.ticket import Ticket

JOB = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (f"{JOB}@se1.example.org:8445", Address("se1.example.org", 8445)),
        (f"{JOB}@[2001:db8::1]:8444", Address("2001:db8::1", 8444)),
    ],
)
def test_a_ticket_is_read_as_it_was_written(text: str, address: Address) -> None:
    assert Ticket.parse(text) == Ticket(JOB, address)
    assert str(Ticket(JOB, address)) == text


def test_the_port_may_be_left_out() -> None:
    assert str(Ticket.parse(f" {JOB}@SE1.example.org\n")) == f"{JOB}@se1.example.org:8444"


@pytest.mark.parametrize(
    "text",
    ["", JOB, f"{JOB}@", f"{JOB[1:]}@se1", f"{JOB}@se1:0", f"{JOB}@a b", f"{JOB}@a/b", f"{JOB.upper()}@a", "é@é"],
)
def test_what_is_no_ticket_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="ID@host"):
        Ticket.parse(text)
