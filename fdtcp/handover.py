"""Handing a whole job over to its destination's daemon, with a proxy of the user, so that it can go on without us.

Decides the order of a submission and that it may be repeated: until the daemon has said yes to the last chunk there is
no job, afterwards there is exactly one.  It loads cryptography, which nobody else pays for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from typing import Final

from fdtcp.channels import Identity
from fdtcp.detached import (
    DelegateBegin,
    DelegateBeginReply,
    DelegateFinish,
    DelegateFinishReply,
    Follow,
    PeerName,
    Reply,
    Request,
    Submit,
    Terms,
    Wanted,
    cut,
    decode_reply,
    encode_request,
)
from fdtcp.errors import FdtError, ProtocolViolation, RemoteProblem, Side, UsageError
from fdtcp.lines import Channel
from fdtcp.model.options import Options
from fdtcp.model.ticket import Ticket
from fdtcp.model.transfer import Transfer

# What grid-proxy-init makes of a user's certificate.
DELEGATE_HOURS: Final = 12.0
# A daemon makes a key of 2048 bits in a tenth of a second, and writes a thousand names in less.
CALL_TIMEOUT_S: Final = 30.0
# A connection that breaks in the middle is made again; one that breaks three times has a reason.
ATTEMPTS: Final = 3


def check_one_destination(transfers: Sequence[Transfer]) -> None:
    """Raise UsageError unless all files go to one daemon, which then drives the job."""
    destinations = sorted({transfer.destination.address for transfer in transfers})
    if len(destinations) > 1:
        raise UsageError(
            f"a job that is handed over has one destination, and {len(destinations)} are named: {destinations[0]}, "
            f"{destinations[1]}{', ...' if len(destinations) > 2 else ''}",
            remedy="make one copyjob for each destination",
        )


def hand_over(
    transfers: Sequence[Transfer], options: Options, identity: Identity, *, hours: float, contact: float
) -> tuple[Ticket, float]:
    """Submit a job; return its ticket and until when its proxy lasts (epoch seconds).

    `hours` limits the delegated proxy, `contact` is how long a daemon may take to let anybody in, in seconds.  Raises
    UsageError for several destinations, else FdtError, and then there is no job unless the last answer was lost thrice.
    """
    check_one_destination(transfers)
    ticket = Ticket(os.urandom(16).hex(), transfers[0].destination.address)
    hosts = {transfer.source.address.host for transfer in transfers}
    terms = Terms(
        options.policy,
        options.source_addresses,
        options.destination_addresses,
        contact,
        identity.accounts.get(Side.SOURCE, ""),
        tuple(PeerName(host, dn) for host, dn in identity.peers.items() if host in hosts),
    )
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with closing(identity.open(Side.DESTINATION, ticket.address, time.monotonic() + contact)) as channel:
                return ticket, _submit(channel, ticket.job, transfers, terms, identity, hours)
        except (RemoteProblem, ProtocolViolation):
            raise
        except FdtError as exc:
            if not exc.retryable or attempt == ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def renew(ticket: Ticket, identity: Identity, *, hours: float, contact: float) -> float:
    """Give a job that runs another proxy; return until when that lasts (epoch seconds).  Raises FdtError."""
    with closing(identity.open(Side.DESTINATION, ticket.address, time.monotonic() + contact)) as channel:
        # Asked first, because a daemon takes a proxy for a job that is still to be submitted as well.
        ask(channel, Follow(ticket.job, 0, 0.0))
        return _delegate(channel, ticket.job, identity, hours)


def ask(channel: Channel, request: Request, timeout: float = CALL_TIMEOUT_S) -> Reply:
    """Make one call about detached jobs.  Raises FdtError."""
    name, argument = encode_request(request)
    return decode_reply(request, channel.call(name, argument, timeout))


def _submit(
    channel: Channel, job: str, transfers: Sequence[Transfer], terms: Terms, identity: Identity, hours: float
) -> float:
    not_after = _delegate(channel, job, identity, hours)
    position = 0
    while position < len(transfers):
        files = tuple(cut(Wanted.of(transfer) for transfer in islice(transfers, position, None)))
        last = position + len(files) == len(transfers)
        ask(channel, Submit(job, terms, position, files, last))
        position += len(files)
    return not_after


def _delegate(channel: Channel, job: str, identity: Identity, hours: float) -> float:
    from authsvc import delegation

    begun = ask(channel, DelegateBegin(job))
    assert isinstance(begun, DelegateBeginReply), "decode_reply sees to that"
    chain = delegation.sign(begun.request, identity.find(), hours=hours)
    finished = ask(channel, DelegateFinish(job, tuple(chain)))
    assert isinstance(finished, DelegateFinishReply), "see above"
    return finished.not_after
