"""How many strangers and known callers may be connected at once, and who has to go.

Decides that a newcomer is never locked out by silent strangers: when there are too many of them, the one who has been
silent longest goes.  An honest client needs some ten milliseconds to stop being a stranger.  Known callers are never
thrown out for others; beyond the limit the new one is told to come back.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from authsvc.channel.limits import ChannelLimits
from authsvc.errors import TooManyConnections


class Visit:
    """One connection, from accept to close; `wake` ends any wait in it."""

    def __init__(self, address: str, wake: Callable[[], None]) -> None:
        self.address = address
        self.wake = wake


class Admissions:
    """The books of one acceptor."""

    def __init__(self, limits: ChannelLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        # Dictionaries keep their order: the first stranger is the one who has waited longest.
        self._strangers: dict[Visit, None] = {}
        self._per_address: Counter[str] = Counter()
        self._known: dict[Visit, str] = {}
        self._per_dn: Counter[str] = Counter()

    def enter(self, visit: Visit) -> None:
        """Note a new stranger; wakes the longest silent one if there are too many now."""
        with self._lock:
            self._strangers[visit] = None
            self._per_address[visit.address] += 1
            victim = self._one_too_many(visit.address)
            if victim is not None:
                self._forget_stranger(victim)
        if victim is not None:
            victim.wake()

    def leave(self, visit: Visit) -> None:
        """Forget a connection that has ended."""
        with self._lock:
            self._forget_stranger(visit)

    @contextmanager
    def known(self, visit: Visit, dn: str) -> Iterator[None]:
        """Count a stranger as the known caller `dn` from here on.  Raises TooManyConnections."""
        with self._lock:
            if len(self._known) >= self._limits.connections:
                raise TooManyConnections(f"all {self._limits.connections} connections are in use")
            if self._per_dn[dn] >= self._limits.connections_per_dn:
                raise TooManyConnections(f"{dn} holds {self._per_dn[dn]} connections, as many as one user may")
            self._forget_stranger(visit)
            self._known[visit] = dn
            self._per_dn[dn] += 1
        try:
            yield
        finally:
            with self._lock:
                del self._known[visit]
                _count_down(self._per_dn, dn)

    def everybody(self) -> list[Visit]:
        """Return all who are connected now."""
        with self._lock:
            return [*self._strangers, *self._known]

    def known_callers(self) -> list[tuple[Visit, str]]:
        """Return the known callers' connections, each with its DN."""
        with self._lock:
            return list(self._known.items())

    def _one_too_many(self, address: str) -> Visit | None:
        if self._per_address[address] > self._limits.strangers_per_address:
            return next(visit for visit in self._strangers if visit.address == address)
        if len(self._strangers) > self._limits.strangers:
            # The address with the most strangers pays, so that one flood does not push out everybody else.
            worst = max(self._per_address, key=lambda name: self._per_address[name])
            return next(visit for visit in self._strangers if visit.address == worst)
        return None

    def _forget_stranger(self, visit: Visit) -> None:
        if visit in self._strangers:
            del self._strangers[visit]
            _count_down(self._per_address, visit.address)


def _count_down(counter: Counter[str], key: str) -> None:
    """Count one less, and drop the key at zero: strangers choose the keys."""
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
