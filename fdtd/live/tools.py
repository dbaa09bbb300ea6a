"""What all sessions of a daemon work with.

Decides nothing but where the logs of movers go; it is put together by `fdtd.daemon`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from fdtcp.model.order import KeptPartial, Mapped, Role
from fdtd.operation.monitoring import Emit
from fdtd.processes.launcher import Launcher
from fdtd.sessions.machine import SessionKey
from fdtd.site.memory import Memory
from fdtd.site.ports import PortLeases
from fdtd.state.statefile import StateFile

# Below [service] log_dir.
TRANSFER_LOGS: Final = "transfers"


class Sweepable(Protocol):
    """A session for which a sweeper is sent out."""

    number: int
    key: SessionKey

    def swept(self, partials: Sequence[KeptPartial]) -> None:
        """Take the sweeper's report."""


SweepStarter = Callable[[Sweepable, tuple[bytes, ...], bool], None]


@dataclass(frozen=True, slots=True)
class Tools:
    """What all sessions of a daemon work with."""

    launcher: Launcher
    state: StateFile
    ports: PortLeases
    start_sweep: SweepStarter
    log_dir: str
    keep_partials: float  # seconds
    emit: Emit
    host: str  # as monitoring knows it
    memory: Memory
    storage: tuple[Mapped, ...] = ()  # directories that have another storage behind them


def transfer_log(log_dir: str, job: str, role: Role) -> str:
    """Return where a mover's own log goes: time first, so that a listing is in order."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return os.path.join(log_dir, TRANSFER_LOGS, f"{stamp}-{job}-{role}.log")
