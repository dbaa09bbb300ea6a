"""Journals while their files are written: what is noted in them, and what they have to forget.

Decides who may touch a journal when.  Syncs take long and no lock of the landing is held meanwhile, so what a sync says
is left in the holding (`lost`), under its own lock, where whoever comes next sees it: also the committer, if the file
became complete in the meantime.
"""

from __future__ import annotations

import time

from fdtcp.errors import FdtError, Phase, Side
from fdtd.mover.commit import Item
from fdtd.mover.frames import Header
from fdtd.mover.holding import Holding
from fdtd.mover.landing import Landing
from fdtd.mover.receiver import Reply


class Checkpoints:
    """The journals of a writer.  Methods may be called from any thread."""

    def __init__(self, landing: Landing) -> None:
        self._landing = landing

    def due(self, first_s: float, next_s: float) -> list[int]:
        """Return files that have something for their journal; see `Holding.is_due`."""
        landing = self._landing
        now = time.monotonic()
        with landing.lock:
            return [
                file
                for file, holding in landing.holdings.items()
                if holding.is_due(now, first_s, next_s) and landing.receiver.arrivals[file].is_open
            ]

    def make(self, file: int) -> None:
        """Make the verified parts of a file safe, and note them in its journal."""
        landing = self._landing
        with landing.lock:
            holding = landing.holdings.get(file)
            if holding is None or not landing.receiver.arrivals[file].is_open:
                return
            if not holding.busy.acquire(blocking=False):
                return  # another thread is at it
            extents, holding.fresh = holding.fresh, []
        try:
            holding.checkpoint(extents, landing.policy.checksum)
        except FdtError:
            pass  # it is in `lost`, or there was no room for a record: then less can be continued
        finally:
            holding.busy.release()
        self._fail_if_lost(file, holding)

    def wait(self, items: list[Item]) -> dict[int, FdtError]:
        """Wait until no checkpoint of these files is being made; returns those that are lost.

        A verified file gets no new checkpoint.
        """
        with self._landing.lock:
            found = ((item.file, self._landing.holdings.get(item.file)) for item in items)
            holdings = {file: holding for file, holding in found if holding is not None}
        lost = {}
        for file, holding in holdings.items():
            if holding.busy.locked():
                with holding.busy:
                    pass
            if holding.lost is not None:
                lost[file] = holding.lost
        return lost

    def kept_sum(self, header: Header, value: int) -> Reply:
        """Take a SUM for a part that an earlier attempt left.

        The journal forgets a part that is refused before anybody may write over it: what comes in its place may be
        damaged, and the last that comes.
        """
        landing = self._landing
        with landing.lock:
            landing.touch()
            holding = landing.holdings.get(header.file)
        if holding is not None and self._is_refused(header, value):
            with holding.busy:
                with landing.lock:
                    is_here = landing.holdings.get(header.file) is holding
                    is_here = is_here and landing.receiver.arrivals[header.file].is_open
                if is_here:
                    self._forget(holding, header)
            self._fail_if_lost(header.file, holding)
        with landing.lock:
            reply = landing.receiver.kept_sum(header.file, header.offset, header.length, value)
            landing.follow(header.file)
            return reply

    def _is_refused(self, header: Header, value: int) -> bool:
        with self._landing.lock:
            extent = self._landing.receiver.arrivals[header.file].kept.get(header.offset)
            return extent is not None and extent.length == header.length and extent.checksum != value

    def _forget(self, holding: Holding, header: Header) -> None:
        try:
            holding.forget(header.offset)
        except FdtError:
            pass  # it is in `lost`

    def _fail_if_lost(self, file: int, holding: Holding) -> None:
        """Fail a file whose sync has failed, unless the committer has it: then he does; let go of it if it is final."""
        landing = self._landing
        with landing.lock:
            if holding.lost is not None:
                landing.fail(file, holding.lost.problem(Side.DESTINATION, Phase.TRANSFER))
            landing.let_go_if_final(file)
