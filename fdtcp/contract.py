"""The calls that a daemon answers: what is asked, what is answered, and how both are written.

Decides the control protocol between `fdtcp` and `fdtd` (docs/protocol.md).  The secured channel carries
`call(name, argument)` and leaves the argument to this table.  All calls are idempotent per (owner, job): a client that
lost its connection reconnects and asks again.  A job is one session on each of its two daemons, under the same UUID.

Files are named by their index in the job, from 0.  A chunk has at most MAX_CHUNK files.

One daemon may be both ends of a job (a copy within one host).  `side` then says which of the two sessions is meant;
without it Watch means the destination's, Finish and Abort mean both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Final

from fdtcp.errors import Problem, Side
from fdtcp.model import pfn
from fdtcp.model.calls import CallTable
from fdtcp.model.order import (
    DestinationFile,
    Endpoint,
    Found,
    KeptPartial,
    Outcome,
    Policy,
    ReleasedFile,
    SourceFile,
    StreamProgress,
    Verdict,
)
from fdtcp.value import dataclass

# Grows by one when an old client can no longer talk to a new daemon; the hello carries the program's version.
CONTRACT_VERSION: Final = 2
DEFAULT_PORT: Final = pfn.DEFAULT_PORT
# Both keep one message well below the channel's 4 MiB with PATH_MAX names in it (1,000 x 4,096 bytes would not: a
# client also cuts a chunk before its names reach MAX_CHUNK_BYTES).
MAX_CHUNK: Final = 1000
MAX_CHUNK_BYTES: Final = 2 << 20
# A call to watch returns after this many seconds at the latest, with or without news.
MAX_WATCH_S: Final = 1.0
MAX_ENDPOINTS: Final = 16
FINGERPRINT_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class About:
    """What are you?  The cheapest call."""


@dataclass(frozen=True, slots=True)
class AboutReply:
    """The daemon's name for itself, and the data addresses that a job would get now."""

    version: str
    contract: int
    host: str
    data_addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Describe:
    """To the source: open the session if it is new, and look at these files under the caller's account.

    `addresses` narrows the daemon's data interfaces (numeric addresses; empty: all of them).
    """

    job: str
    policy: Policy
    addresses: tuple[str, ...]
    files: Sequence[SourceFile]


@dataclass(frozen=True, slots=True)
class DescribeReply:
    """One Found for each file, the addresses of this end's streams, and whether its site wants them encrypted."""

    found: Sequence[Found]
    addresses: tuple[str, ...]
    encrypts: bool = False


@dataclass(frozen=True, slots=True)
class Expect:
    """To the destination: open the session if it is new, and get ready for these files (`last`: and no more)."""

    job: str
    policy: Policy
    addresses: tuple[str, ...]
    files: Sequence[DestinationFile]
    last: bool


@dataclass(frozen=True, slots=True)
class ExpectReply:
    """One Verdict for each file; those with a problem also become FAILED outcomes.  The others as in DescribeReply."""

    verdicts: Sequence[Verdict]
    addresses: tuple[str, ...] = ()
    encrypts: bool = False
    rate: int | None = None  # as in WatchReply: the source is told before its first byte


@dataclass(frozen=True, slots=True)
class Listen:
    """To the end that listens, `side`: on its data addresses, for streams from `peers` (numeric; empty: any).

    That is the destination, or the source if the policy is `reverse`.  `encrypt`: the other end, or the user, wants it.
    """

    job: str
    peers: tuple[str, ...]
    side: Side = Side.DESTINATION
    encrypt: bool = False


@dataclass(frozen=True, slots=True)
class ListenReply:
    """Where to connect, and the job's one-time secret, which proves both ends of each stream.

    `fingerprint` is the SHA-256 of the certificate that will be shown there; empty if streams are not encrypted.
    """

    endpoints: tuple[Endpoint, ...]
    secret: bytes = field(repr=False)
    fingerprint: bytes = b""


@dataclass(frozen=True, slots=True)
class Connect:
    """To the end that connects, `side`: open the streams, with what the other end has answered to Listen."""

    job: str
    endpoints: tuple[Endpoint, ...]
    secret: bytes = field(repr=False)
    side: Side = Side.SOURCE
    fingerprint: bytes = b""


@dataclass(frozen=True, slots=True)
class Release:
    """To the source: these files may go, as the destination decided (`last`: and no more)."""

    job: str
    files: Sequence[ReleasedFile]
    last: bool


@dataclass(frozen=True, slots=True)
class SetRate:
    """To either: go on at so many bytes per second over all streams (0: no limit), as far as the site allows."""

    job: str
    rate: int
    side: Side | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """To either: outcomes from position `cursor` on, and how far things are; waits up to `wait` s for news."""

    job: str
    cursor: int
    wait: float
    side: Side | None = None


@dataclass(frozen=True, slots=True)
class WatchReply:
    """News: at most MAX_CHUNK outcomes and the cursor behind them.

    `ended` says that the mover is gone and that no outcome will follow those behind `cursor`; then `problem` says why
    if it was not that all was done.  Only the destination has outcomes.  `rate` is the lowest of what the job, the site
    and the host's other jobs allow in bytes per second, 0: no limit, None: it is not known.
    """

    cursor: int
    outcomes: Sequence[Outcome]
    moved: int
    streams: tuple[StreamProgress, ...]
    ended: bool
    problem: Problem | None = None
    kept: tuple[KeptPartial, ...] = ()
    rate: int | None = None


@dataclass(frozen=True, slots=True)
class SourceGone:
    """To the destination: the source has ended; what has arrived is made safe, nothing more is waited for."""

    job: str


@dataclass(frozen=True, slots=True)
class Finish:
    """To either: the outcomes have been read, forget the session."""

    job: str
    side: Side | None = None


@dataclass(frozen=True, slots=True)
class Abort:
    """To either: stop now.  Partials with safe blocks stay unless `discard`.  Outcomes can still be watched."""

    job: str
    discard: bool
    side: Side | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The answer to calls that have nothing to say."""


Request = About | Describe | Expect | Listen | Connect | Release | SetRate | Watch | SourceGone | Finish | Abort
Reply = AboutReply | DescribeReply | ExpectReply | ListenReply | WatchReply | Done

CALLS: Final = CallTable[Request, Reply](
    {
        "about": (About, AboutReply),
        "describe": (Describe, DescribeReply),
        "expect": (Expect, ExpectReply),
        "listen": (Listen, ListenReply),
        "connect": (Connect, Done),
        "release": (Release, Done),
        "set_rate": (SetRate, Done),
        "watch": (Watch, WatchReply),
        "source_gone": (SourceGone, Done),
        "finish": (Finish, Done),
        "abort": (Abort, Done),
    }
)
encode_request = CALLS.encode_request
decode_request = CALLS.decode_request
encode_reply = CALLS.encode_reply
decode_reply = CALLS.decode_reply
