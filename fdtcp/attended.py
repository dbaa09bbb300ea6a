"""Jobs that a running fdtcp drives, as another one of the same user sees them.

Decides what there is to be asked and said beside whoever drives the job: its destination tells how far it is and what
limit holds, and is told another one.  The driver learns of it as it learns of every limit there, and tells the source.
Only the owner's DN and account find a session, as everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final

from fdtcp.contract import Reply, Request, SetRate, Watch, WatchReply, decode_reply, encode_request
from fdtcp.errors import Side
from fdtcp.lines import Opener
from fdtcp.model.ticket import Ticket

CALL_TIMEOUT_S: Final = 15.0

# Behind all outcomes: those are for who drives the job.
_NO_OUTCOMES: Final = 1 << 40

_Ask = Callable[[Request], Reply]


class Attended:
    """A job at its destination's daemon."""

    def __init__(self, ticket: Ticket, ask: _Ask) -> None:
        self._job = ticket.job
        self._ask = ask

    def look(self) -> WatchReply:
        """Say how far it is.  Raises FdtError; RemoteProblem of unknown-session if there is no such job."""
        reply = self._ask(Watch(self._job, _NO_OUTCOMES, 0.0, Side.DESTINATION))
        assert isinstance(reply, WatchReply), "decode_reply sees to that"
        return reply

    def change_rate(self, rate: int) -> None:
        """Let it go on at so many bytes per second, 0: no limit but the sites'.  Raises as `look`."""
        self._ask(SetRate(self._job, rate, Side.DESTINATION))


@contextmanager
def attended(ticket: Ticket, opener: Opener, *, contact: float) -> Iterator[Attended]:
    """Connect to the job's destination; `contact` is how many seconds its daemon has to let us in.  Raises FdtError."""
    with closing(opener(Side.DESTINATION, ticket.address, time.monotonic() + contact)) as channel:

        def ask(request: Request) -> Reply:
            name, argument = encode_request(request)
            return decode_reply(request, channel.call(name, argument, CALL_TIMEOUT_S))

        yield Attended(ticket, ask)
