"""What another program of the same user is told of a job, and can change."""

from __future__ import annotations

from typing import Any

import pytest

from fdtcp import contract
from fdtcp.attended import attended
from fdtcp.contract import Done, SetRate, Watch, WatchReply
from fdtcp.errors import Phase, RemoteProblem, Side
from fdtcp.lines import Channel
from fdtcp.model.pfn import Address
from fdtcp.model.ticket import Ticket
from fdtd.errors import UnknownSession

TICKET = Ticket("ab" * 16, Address("d.example", 8444))


class FakeDaemon:
    """The destination's daemon; it knows one job."""

    def __init__(self) -> None:
        self.rate = 5
        self.asked: list[contract.Request] = []
        self.is_closed = False

    def open(self, side: Side, address: Address, deadline: float) -> Channel:
        assert (side, address) == (Side.DESTINATION, TICKET.address) and deadline > 0
        return self

    def call(self, name: str, argument: dict[str, Any], timeout: float) -> dict[str, Any]:  # Any: plain values
        assert timeout > 0
        request = contract.decode_request(name, argument)
        self.asked.append(request)
        assert isinstance(request, SetRate | Watch)
        if request.job != TICKET.job:
            raise RemoteProblem(UnknownSession("x").problem(Side.DESTINATION, Phase.SERVICE))
        if isinstance(request, SetRate):
            self.rate = request.rate
            return contract.encode_reply(Done())
        return contract.encode_reply(WatchReply(request.cursor, (), 7, (), False, rate=self.rate))

    def close(self) -> None:
        self.is_closed = True


def test_the_destination_is_asked_for_no_outcomes_and_told_another_rate() -> None:
    daemon = FakeDaemon()
    with attended(TICKET, daemon.open, contact=1.0) as job:
        job.change_rate(9)
        reply = job.look()
    assert (reply.moved, reply.rate) == (7, 9) and daemon.is_closed
    assert {getattr(request, "side", None) for request in daemon.asked} == {Side.DESTINATION}


def test_a_job_that_is_nobodys_is_said_to_be_so() -> None:
    daemon = FakeDaemon()
    strange = Ticket("cd" * 16, TICKET.address)
    with pytest.raises(RemoteProblem), attended(strange, daemon.open, contact=1.0) as job:
        job.look()
    assert daemon.is_closed
