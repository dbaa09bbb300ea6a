"""The rate of a running job: what each end keeps to, and what it is still to be told.  Pure.

Decides that the destination is told what the user wants, and the source what the destination keeps to: there the site
and the host's other jobs may allow less.  It is the source that can move slowly; a destination could only let bytes
wait in the network, until streams look dead.
"""

from __future__ import annotations

from fdtcp.errors import Side


class Rates:
    """Bytes per second, 0: no limit."""

    def __init__(self, wanted: int) -> None:
        """`wanted` is what both ends are told when they begin."""
        self._wanted = wanted
        self.kept: int | None = None  # by the destination; None: it has not said
        self._told = {Side.SOURCE: wanted, Side.DESTINATION: wanted}

    def want(self, rate: int) -> None:
        """Let the job go on at another rate."""
        self._wanted = rate

    def note(self, side: Side, rate: int | None) -> None:
        """Note what an end keeps to; None: it does not say."""
        if side is Side.DESTINATION and rate is not None:
            self.kept = rate

    def next_for(self, side: Side) -> int | None:
        """Return what that end is to be told; None: it knows."""
        is_source = side is Side.SOURCE and self.kept is not None
        rate = self.kept if is_source else self._wanted
        return None if rate == self._told[side] else rate

    def told(self, side: Side | None, rate: int) -> None:
        """Note that an end was told, and has done with it what its site allows."""
        if side is not None:
            self._told[side] = rate
