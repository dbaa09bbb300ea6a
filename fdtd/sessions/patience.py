"""How long a session waits for whom.

Decides the times; what is done when they are over is decided by `fdtd.sessions.machine`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each step of an ending may take, in seconds."""

    client_grace: float
    # A stop flushes the journal; a slow disk needs seconds for it.
    stop: float = 10.0
    # The life line is cut: a mover promises to be gone within 2 s.
    cut: float = 3.0
    # After SIGTERM, before SIGKILL.
    terminate: float = 1.0


# A process that survives SIGKILL hangs in the kernel (dead storage), or belongs to sudo; after this many seconds the
# session ends without it.
GIVE_UP_S: Final = 20.0
# The daemon itself has to leave within a few seconds.
HURRY: Final = Patience(client_grace=0.0, stop=1.5, cut=2.2, terminate=0.5)
