"""Tickets: by what a user finds a job from elsewhere, `ID@host:port`.

Decides the spelling: the job's UUID and the address of the daemon that knows it, as the address is written in a Pfn.
That is the destination's, which drives a job that is detached.
"""

from __future__ import annotations

import re

from fdtcp.errors import BadPfn, UsageError
from fdtcp.model.pfn import Address, Pfn
from fdtcp.value import dataclass

_TICKET = re.compile(r"(?P<job>[0-9a-f]{32})@(?P<address>[^/@]+)")


@dataclass(frozen=True, slots=True)
class Ticket:
    """Which job, and at which daemon."""

    job: str
    address: Address

    @classmethod
    def parse(cls, text: str) -> Ticket:
        """Read what a submission printed.  Raises UsageError."""
        match = _TICKET.fullmatch(text.strip())
        try:
            if match is None:
                raise UsageError(
                    f"{text!r} is not the id of a job",
                    remedy="write ID@host:port as fdtcp printed it",
                )
            # An address is what stands between fdt:// and the path.
            return cls(match["job"], Pfn.parse(f"fdt://{match['address']}/x".encode()).address)
        except (BadPfn, UnicodeEncodeError) as exc:
            raise UsageError(f"{text!r} names no daemon: {exc}", remedy="write ID@host:port") from exc

    def __str__(self) -> str:
        """Write it as `parse` reads it."""
        return f"{self.job}@{self.address}"
