"""How a detached job reaches its two daemons: the source over the network as the user, this one without leaving it.

Decides where this daemon connects on a user's word: only to what the site allows ([detached] sources), with nothing in
the answer that would make it a scanner of networks that only it can see.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from authsvc.authorities import TrustRules
from authsvc.channel import Connection
from authsvc.channel.incident import note_incident
from authsvc.errors import ChannelLost, CredentialExpired
from fdtcp.contract import Reply, Request, decode_request, encode_reply
from fdtcp.detached import Terms
from fdtcp.errors import FdtError, Phase, RemoteProblem, Side, Unreachable
from fdtcp.lines import Channel
from fdtcp.model.order import Endpoint
from fdtcp.model.pfn import Address
from fdtd.detached.loan import Loan
from fdtd.site.config import Network
from fdtd.site.interfaces import data_networks
from fdtd.site.peers import why_refused

_log: Final = logging.getLogger("fdtd.detached")

Answer = Callable[[Request], Reply]


class LocalChannel:
    """Calls of the destination's end, which never leave the process."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._is_open = True

    def call(self, name: str, argument: dict[str, Any], timeout: float) -> dict[str, Any]:  # noqa: ARG002  # Any: plain values; our own calls have deadlines of their own
        """Answer as the service would over the network.  Raises RemoteProblem."""
        if not self._is_open:
            raise ChannelLost("the job has closed its own end")
        try:
            return encode_reply(self._answer(decode_request(name, argument)))
        except FdtError as exc:
            raise RemoteProblem(exc.problem(Side.DESTINATION, Phase.SERVICE)) from exc
        except Exception as exc:
            # As on a connection: the user gets a code, the log the rest.
            error = note_incident(f"detached call={name!r}", exc)
            raise RemoteProblem(error.problem(Side.DESTINATION, Phase.SERVICE)) from exc

    def close(self) -> None:
        """Answer no more; a call that is under way ends by its own deadline."""
        self._is_open = False


@dataclass(frozen=True, slots=True)
class Openings:
    """Opens the channels of one job, at the source with the proxy that it has now."""

    answer: Answer
    loan: Loan
    ca_dir: str
    terms: Terms
    sources: Sequence[Network]
    trust: TrustRules | None = None

    def open(self, side: Side, address: Address, deadline: float) -> Channel:
        """Be an Opener."""
        if side is Side.DESTINATION:
            return LocalChannel(self.answer)
        if time.time() >= self.loan.not_after:
            raise CredentialExpired(
                "the proxy that was delegated for this job has ended",
                remedy="give a running job another one with fdtcp renew; submitted again, it skips files that are done",
            )
        names = {one.host: one.dn for one in self.terms.peers}
        try:
            return Connection.open(
                address.host,
                address.port,
                credential=self.loan.credential,
                ca_dir=self.ca_dir,
                trust=self.trust,
                deadline=deadline,
                account=self.terms.source_account or None,
                expect_dn=names.get(address.host),
                permit=lambda numeric: self._is_permitted(numeric, address.port),
            )
        except (Unreachable, OSError) as exc:
            _log.warning("event=source-unreachable address=%s reason=%r", address, str(exc))
            raise Unreachable(
                f"{address} cannot be reached from the destination, or must not be",
                remedy="check that fdtd runs there; the log of the destination's fdtd says more",
            ) from exc

    def _is_permitted(self, numeric: str, port: int) -> bool:
        # Without a list the networks of all interfaces count: management need not be on those that carry data.
        own = () if self.sources else data_networks(())
        why = why_refused([Endpoint(numeric, port)], self.sources, own, "[detached] sources")
        if why is not None:
            _log.warning("event=source-refused reason=%r", why)
        return why is None
