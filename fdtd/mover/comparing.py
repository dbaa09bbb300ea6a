"""Files that exist at the destination and may be the same: they are read and compared, never changed.

Decides when what exists is opened and closed; several streams may read one file at once.
"""

from __future__ import annotations

import os

from fdtcp.errors import DestinationExists, FdtError, Phase, Side
from fdtcp.model.order import Action
from fdtd.mover.frames import Header
from fdtd.mover.landing import Landing
from fdtd.mover.receiver import Reply
from fdtd.mover.sums import Sum
from fdtd.storage.base import Existing


class Comparing:
    """The SUMs of a writer's streams.  Methods may be called from any thread."""

    def __init__(self, landing: Landing) -> None:
        self._landing = landing

    @property
    def checksum(self) -> Sum:
        """How both ends sum."""
        return self._landing.comparing

    def is_compared(self, file: int) -> bool:
        """Whether the SUMs of a file are about a file that existed before.  Raises ProtocolViolation."""
        with self._landing.lock:
            return self._landing.receiver.arrival(file).action is Action.COMPARE

    def begin(self, header: Header) -> Existing | None:
        """Return the file that this SUM is about, until `end`; None if it is of no interest any more."""
        landing = self._landing
        with landing.lock:
            landing.touch()
            if not landing.receiver.may_compare(header.file, header.offset, header.length):
                return None
            file = landing.receiver.arrivals[header.file].file
        return landing.use_existing(file)

    def end(self, file: int) -> None:
        """Give back what `begin` gave."""
        self._landing.unuse(file)

    def is_same(self, header: Header, value: int) -> Reply:
        """Take a SUM that is equal to our own."""
        with self._landing.lock:
            reply = self._landing.receiver.compared(header.file, header.offset, header.length, value)
            self._landing.follow(header.file)
            return reply

    def is_different(self, header: Header) -> Reply:
        """Take a SUM that is not."""
        path = os.fsdecode(self._landing.receiver.arrivals[header.file].file.path)
        return self.failed(header, DestinationExists(f"{path} exists with the same size and other content"))

    def failed(self, header: Header, error: FdtError) -> Reply:
        """Take that what exists could not be read, or is another."""
        self._landing.fail(header.file, error.problem(Side.DESTINATION, Phase.VERIFY))
        return Reply.DROP
