"""Data ports: which ones a writer may try, and which are taken.

The writer binds a port itself, under its own account, and reports which one it got.  Decides the candidates that it
is given: oldest lease first, because a port just closed may still be in TIME_WAIT or known to a peer that lags.  The
kernel has the last word; a foreign program on a candidate just makes the writer take the next.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from fdtcp.errors import Phase, PortsExhausted
from fdtcp.model.order import Endpoint


class PortLeases:
    """The data ports of one daemon; safe to use from all threads."""

    def __init__(self, first: int, last: int) -> None:
        self._lock = threading.Lock()
        # In the order of their last release: dicts keep the order of insertion.
        self._order = dict.fromkeys(range(first, last + 1))
        self._leases: dict[Endpoint, str] = {}

    def candidates(self, addresses: Sequence[str]) -> tuple[int, ...]:
        """Return the ports that are free on all `addresses`, oldest lease first.  Raises PortsExhausted."""
        with self._lock:
            taken = {endpoint.port for endpoint in self._leases if endpoint.address in addresses}
            free = tuple(port for port in self._order if port not in taken)
        if not free:
            raise PortsExhausted(
                f"all {len(self._order)} data ports of {', '.join(addresses)} are leased", phase=Phase.PREPARE
            )
        return free

    def lease(self, endpoints: Iterable[Endpoint], job: str) -> None:
        """Record what the writer of `job` says that it has bound."""
        with self._lock:
            for endpoint in endpoints:
                self._leases[endpoint] = job

    def release(self, endpoints: Iterable[Endpoint]) -> None:
        """Give ports back, to the end of the queue."""
        with self._lock:
            for endpoint in endpoints:
                if self._leases.pop(endpoint, None) is not None and endpoint.port in self._order:
                    del self._order[endpoint.port]
                    self._order[endpoint.port] = None

    def held(self) -> dict[Endpoint, str]:
        """Return who holds what now."""
        with self._lock:
            return dict(self._leases)
