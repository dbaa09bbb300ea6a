"""How much a stranger, and how much a known caller, may ask of a daemon."""

from __future__ import annotations

from typing import Final

from fdtcp.value import dataclass

# A chunk of 1,000 files with long names has some 300 kB; beyond 4 MiB a message is an attack or a bug.
MAX_MESSAGE_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class ChannelLimits:
    """Limits of one acceptor; times in seconds.

    `handshake_s` is the total for TLS and hello, however slowly the bytes drip: an honest one takes 10 ms plus two or
    three round trips.  `frame_s` is the total for the rest of a message after its first byte, and for a reply.
    `idle_s` closes connections of callers that went away without a word.  The numbers of strangers bound threads and
    memory, those of known callers what one user can take from the others.
    """

    handshake_s: float = 5.0
    frame_s: float = 20.0
    idle_s: float = 600.0
    strangers: int = 512
    strangers_per_address: int = 256
    connections: int = 1024
    connections_per_dn: int = 128
