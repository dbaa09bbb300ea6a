"""What a daemon orders of its mover, and what the mover says in return.

Decides the types; how they are written is decided by `fdtcp.model.pipe`.  The daemon writes orders to the mover's
standard input, which is also its life line (end of file means: stop, keep partials, be gone within two seconds); the
mover writes messages to its standard output.  What a mover says is *claims*: it runs as the user, so the daemon checks
every index against the job.

All paths are absolute and bytes: POSIX names need not be text.  Sizes and offsets are in bytes, times of files in
nanoseconds since the epoch, other times in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from enum import StrEnum
from typing import Final

from fdtcp.errors import Problem

# A mover needs both, and gets its policy with its first order.
from fdtcp.model.policy import Checksum as Checksum
from fdtcp.model.policy import Direct as Direct
from fdtcp.model.policy import OnExists as OnExists
from fdtcp.model.policy import Policy as Policy
from fdtcp.model.policy import Resume as Resume
from fdtcp.model.policy import SameBy as SameBy
from fdtcp.model.policy import Sync as Sync
from fdtcp.model.policy import Verify as Verify
from fdtcp.value import dataclass


class Role(StrEnum):
    """What a mover process is for."""

    READER = "reader"
    WRITER = "writer"
    SWEEPER = "sweeper"


class Action(StrEnum):
    """What is to be done for one file, as the destination decided in pre-flight."""

    SEND = "send"
    COMPARE = "compare"  # an equally long file exists: the reader sends its checksum only, the writer compares
    SKIP = "skip"  # nothing to do: the writer has reported the outcome already


class State(StrEnum):
    """The end of one file."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A numeric address (no scope, no brackets) and a TCP port."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Extent:
    """A part of a file that the destination has already made safe, with the checksum of its content."""

    offset: int
    length: int
    checksum: int


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that a reader shall look at; `index` counts from 0 through the job."""

    index: int
    path: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """What a reader found: exactly one of facts (`problem` is None) or a problem."""

    index: int
    size: int
    mtime_ns: int
    mode: int  # permission bits only
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class DestinationFile:
    """A file that a writer shall expect, with what the source found."""

    index: int
    path: bytes
    size: int
    mtime_ns: int
    mode: int
    source: bytes  # the source Pfn, in the journal's identity: a partial is continued for the same source only


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a writer found at the destination: an action, or a problem (the outcome then follows as FAILED)."""

    index: int
    action: Action
    kept: tuple[Extent, ...] = ()
    problem: Problem | None = None
    # The storage takes bytes in order only: no block may end further than this behind the first byte that has not been
    # acknowledged.  0: any order.
    window: int = 0
    # Where so few files may be written at the same time: at most `writers` of this device.  0: any number.
    device: int = 0
    writers: int = 0


@dataclass(frozen=True, slots=True)
class ReleasedFile:
    """A file that a reader may send, with the writer's verdict on it."""

    index: int
    action: Action
    kept: tuple[Extent, ...] = ()
    window: int = 0
    device: int = 0
    writers: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one file, said by the destination: DONE means verified and as durable as the sync policy says."""

    index: int
    state: State
    size: int
    moved: int = 0  # bytes that crossed the network
    kept: int = 0  # bytes that an earlier attempt had made safe
    checksum: str = ""  # "adler32:0a1b2c3d", or "" without
    finished: float = 0.0  # epoch seconds
    problem: Problem | None = None
    promise: str = ""  # what "safe" means where the storage promises something else than a synced file has


@dataclass(frozen=True, slots=True)
class StreamProgress:
    """What one stream has carried since it was opened (payload bytes), and between which addresses."""

    stream: int
    local: str
    remote: str
    moved: int
    alive: bool
    cipher: str = ""  # what encrypts it, empty if nothing does


@dataclass(frozen=True, slots=True)
class KeptPartial:
    """A partial that was left at the destination for a later attempt: its name and the bytes that are safe in it."""

    path: bytes
    size: int


# --- orders: daemon to mover -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mapped:
    """A directory that the site has put another storage behind: `fdtd.storage.mapping` knows the words."""

    prefix: bytes
    backend: str


@dataclass(frozen=True, slots=True)
class Setup:
    """The first line, exactly once: who this mover is."""

    role: Role
    job: str  # UUID, 32 hex digits
    prefixes: tuple[bytes, ...]  # directories; every path is opened beneath one of them
    policy: Policy = field(default_factory=Policy)
    # A reader that a bearer token limits: what it opens is one of these, or below one.  None: no token.
    scopes: tuple[bytes, ...] | None = None
    storage: tuple[Mapped, ...] = ()  # the longest prefix of a path decides; none: an ordinary file system


@dataclass(frozen=True, slots=True)
class Describe:
    """To a reader: look at these files; answered by Described with the same `seq`."""

    seq: int
    files: Sequence[SourceFile]


@dataclass(frozen=True, slots=True)
class Expect:
    """To a writer: these files will come (`last`: and no more); answered by Expected with the same `seq`."""

    seq: int
    files: Sequence[DestinationFile]
    last: bool


@dataclass(frozen=True, slots=True)
class Listen:
    """To the mover that listens: on each address, on the first free of `ports`; answered by Listening."""

    addresses: tuple[str, ...]
    ports: tuple[int, ...]
    secret: bytes = field(repr=False)
    peers: tuple[str, ...] = ()  # numeric addresses that may connect; empty: any that know the secret
    # Key and certificate for TLS as PEM, made for this job; empty: the streams are not encrypted.
    credential: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Connect:
    """To the mover that connects: to these endpoints, from these local addresses (empty: the kernel chooses)."""

    endpoints: tuple[Endpoint, ...]
    addresses: tuple[str, ...]
    secret: bytes = field(repr=False)
    fingerprint: bytes = b""  # SHA-256 of the listener's certificate; empty: the streams are not encrypted


@dataclass(frozen=True, slots=True)
class Release:
    """To a reader: send these files (`last`: and no more)."""

    files: Sequence[ReleasedFile]
    last: bool


@dataclass(frozen=True, slots=True)
class SetRate:
    """To a reader or writer: from now on move at most so many bytes per second over all streams; 0: no limit."""

    rate: int


@dataclass(frozen=True, slots=True)
class SourceGone:
    """To a writer: no stream will come any more, and those that are there carry what is under way and no more."""


@dataclass(frozen=True, slots=True)
class Stop:
    """To any mover: stop now; with `discard` also remove what a later attempt could have continued."""

    discard: bool


@dataclass(frozen=True, slots=True)
class Sweep:
    """To a sweeper: for these destinations remove temporary files; journalled ones only with `discard`."""

    paths: tuple[bytes, ...]
    discard: bool


Order = Setup | Describe | Expect | Listen | Connect | Release | SetRate | SourceGone | Stop | Sweep


# --- messages: mover to daemon ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Described:
    """The answer to Describe: one Found for each file, in any order."""

    seq: int
    found: Sequence[Found]


@dataclass(frozen=True, slots=True)
class Expected:
    """The answer to Expect: one Verdict for each file, in any order."""

    seq: int
    verdicts: Sequence[Verdict]


@dataclass(frozen=True, slots=True)
class Listening:
    """The answer to Listen; a mover that could bind nothing says Ended with the reason instead."""

    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Finals:
    """Outcomes that became final; each file of a job appears exactly once in all Finals of a writer."""

    outcomes: Sequence[Outcome]


@dataclass(frozen=True, slots=True)
class Progress:
    """Sent at most twice a second: totals so far, and the streams."""

    moved: int
    files: int
    streams: tuple[StreamProgress, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """Partials that stay for a later attempt; sent before Ended, if any."""

    partials: tuple[KeptPartial, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """The last line: all is done (None), or why the mover gave up."""

    problem: Problem | None = None


Message = Described | Expected | Listening | Finals | Progress | Kept | Ended

# By the words that stand for them on the pipes.
ORDERS: Final = {
    cls.__name__.lower(): cls
    for cls in (Setup, Describe, Expect, Listen, Connect, Release, SetRate, SourceGone, Stop, Sweep)
}
MESSAGES: Final = {cls.__name__.lower(): cls for cls in (Described, Expected, Listening, Finals, Progress, Kept, Ended)}
