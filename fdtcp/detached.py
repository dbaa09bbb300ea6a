"""The calls about detached jobs: those that the destination's daemon drives itself, with a proxy of the user.

Decides what is asked and answered when a user hands a whole job over and comes back for it later; like
`fdtcp.contract`, to which this adds.  The dialogue of a submission, all of it on one connection:

    delegate_begin -> a request for a proxy     delegate_finish(the signed proxy and its chain)
    submit(files)  ... submit(files, last)      the job runs

What is submitted before `last` is forgotten with the connection; a job that was submitted is there whatever becomes of
the client.  The first two calls alone give a job that runs another proxy.  All calls are idempotent; only the owner's
DN finds a job.  Here a job is everything that the user submitted: files of any source, in the user's order, which is
what an outcome's index counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Final

from fdtcp.contract import MAX_CHUNK, MAX_CHUNK_BYTES, Done
from fdtcp.errors import Problem
from fdtcp.model.calls import CallTable
from fdtcp.model.order import KeptPartial, Outcome, Policy, StreamProgress
from fdtcp.model.transfer import Transfer
from fdtcp.value import dataclass

# As in the contract: how long a call to follow waits for news.
MAX_WAIT_S: Final = 1.0
# Pairs of daemons in one detached job: what runs side by side anyway.
MAX_PARTS: Final = 32
# Names of kept partials in a part; an answer has room for so much from each part.
MAX_KEPT_BYTES: Final = 32 << 10
# About what a row costs beside its names.
_ROW_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class DelegateBegin:
    """Make a key, and a request that the caller signs; void when the connection ends."""

    job: str


@dataclass(frozen=True, slots=True)
class DelegateBeginReply:
    """The request, PKCS #10 in DER."""

    request: bytes


@dataclass(frozen=True, slots=True)
class DelegateFinish:
    """The signed proxy and the chain of this connection below it, in DER."""

    job: str
    chain: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class DelegateFinishReply:
    """Until when the proxy lasts, in epoch seconds."""

    not_after: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file to be moved, as the user wrote it (see `fdtcp.model.transfer`)."""

    source: bytes
    destination: bytes
    literal: bool

    @classmethod
    def of(cls, transfer: Transfer) -> Wanted:
        """Return how a transfer travels."""
        return cls(transfer.source.text, transfer.destination.text, transfer.literal)


def cut(files: Iterable[Wanted]) -> Iterator[Wanted]:
    """Return files while they fit into one message; at least one."""
    size = 0
    for count, one in enumerate(files):
        size += len(one.source) + len(one.destination) + _ROW_BYTES
        if count == MAX_CHUNK or (count and size > MAX_CHUNK_BYTES):
            return
        yield one


@dataclass(frozen=True, slots=True)
class PeerName:
    """A host whose certificate has this DN instead of the host's name, as the user has configured."""

    host: str
    dn: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all files of a job; `contact` is how long a daemon may take to let us in, in seconds."""

    policy: Policy
    source_addresses: tuple[str, ...] = ()
    destination_addresses: tuple[str, ...] = ()
    contact: float = 10.0
    source_account: str = ""
    peers: tuple[PeerName, ...] = ()


@dataclass(frozen=True, slots=True)
class Submit:
    """Files from `position` on (`last`: and no more).  The last call starts the job."""

    job: str
    terms: Terms
    position: int
    files: tuple[Wanted, ...]
    last: bool


@dataclass(frozen=True, slots=True)
class Follow:
    """News of a job: outcomes from position `cursor` on; waits up to `wait` s for some."""

    job: str
    cursor: int
    wait: float


@dataclass(frozen=True, slots=True)
class Step:
    """When a step of a job was taken, in seconds since the job began."""

    name: str
    at: float


@dataclass(frozen=True, slots=True)
class Part:
    """How far one pair of daemons is; the parts of a job are in the order of `fdtcp.model.job.group`."""

    id: str
    stage: str
    done: int
    skipped: int
    failed: int
    total: int
    moved: int
    seconds: float
    streams: tuple[StreamProgress, ...] = ()
    problems: tuple[Problem, ...] = ()
    kept: tuple[KeptPartial, ...] = ()
    steps: tuple[Step, ...] = ()
    rate: int | None = None  # the limit that holds, in bytes per second; 0: none, None: it is not known


@dataclass(frozen=True, slots=True)
class FollowReply:
    """What is known.  `ended`: no outcome will follow those behind `cursor`, and every file has one.

    `began` and `not_after` (of the delegated proxy) are epoch seconds, `seconds` the duration so far or altogether.
    """

    files: int
    cursor: int
    outcomes: tuple[Outcome, ...]
    ended: bool
    cancelled: bool
    began: float
    seconds: float
    not_after: float
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Recall:
    """Tell the files of a job again, from `position` on: whoever follows it need not be who submitted it."""

    job: str
    position: int


@dataclass(frozen=True, slots=True)
class RecallReply:
    """At most MAX_CHUNK files."""

    files: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class ChangeRate:
    """Let each part of the job go on at so many bytes per second; 0: no limit but the sites'."""

    job: str
    rate: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop the job; what is not final then fails, and all of it can still be followed."""

    job: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The outcomes have been read: forget the job, if it has ended."""

    job: str


Request = DelegateBegin | DelegateFinish | Submit | Follow | Recall | ChangeRate | Cancel | Forget
Reply = DelegateBeginReply | DelegateFinishReply | FollowReply | RecallReply | Done

CALLS: Final = CallTable[Request, Reply](
    {
        "delegate_begin": (DelegateBegin, DelegateBeginReply),
        "delegate_finish": (DelegateFinish, DelegateFinishReply),
        "submit": (Submit, Done),
        "follow": (Follow, FollowReply),
        "recall": (Recall, RecallReply),
        "change_rate": (ChangeRate, Done),
        "cancel": (Cancel, Done),
        "forget": (Forget, Done),
    }
)
encode_request = CALLS.encode_request
decode_request = CALLS.decode_request
encode_reply = CALLS.encode_reply
decode_reply = CALLS.decode_reply
