"""A daemon's room for detached jobs, in this process: real delegation, store and jobs; the two ends are in memory.

with detached_room(pki, tmp_path) as room:
    room.pair.sizes = {b"/0": 10}
    ticket, _ = hand_over(transfers(1), Options(), room, hours=1, contact=5)
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from authsvc.channel import Caller
from authsvc.credentials import Credential
from authsvc.identity import Identity, identify
from fdtcp.channels import Identity as ClientIdentity
from fdtcp.errors import FdtError, Phase, RemoteProblem, Side
from fdtcp.lines import Channel
from fdtcp.model.pfn import Address, Pfn
from fdtcp.model.transfer import Transfer
from fdtd.detached.desk import Call, Desks
from fdtd.detached.jobs import Authorise, DetachedJobs
from fdtd.detached.store import DetachedStore
from fdtd.site.config import Settings, load_config
from fdtd.site.memory import Memory
from fdtd.state.statefile import StateFile
from tests.helpers.fakedaemons import FakePair
from tests.helpers.pki import Pki

ACCOUNT = "alice"


def transfers(count: int, first: int = 0) -> list[Transfer]:
    return [
        Transfer(Pfn.parse(b"fdt://source.example:1/%d" % n), Pfn.parse(b"fdt://destination.example:2/%d" % n), True)
        for n in range(first, first + count)
    ]


def caller_with(pki: Pki, credential: Credential) -> Caller:
    """Return the caller whom a daemon would see: with the root at the end of the chain."""
    (root,) = Path(pki.certificates).glob("*.0")
    certificates = [
        *x509.load_pem_x509_certificates(Path(credential.cert_path).read_bytes()),
        x509.load_pem_x509_certificate(root.read_bytes()),
    ]
    chain = tuple(one.public_bytes(Encoding.DER) for one in certificates)
    return Caller(identify(chain, time.time()), ACCOUNT, "127.0.0.1", chain)


class DeskChannel:
    """A connection to a desk."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def call(self, name: str, argument: dict[str, Any], timeout: float) -> dict[str, Any]:  # noqa: ARG002  # nothing here takes long
        try:
            return self._call(name, argument)
        except FdtError as exc:
            raise RemoteProblem(exc.problem(Side.DESTINATION, Phase.SERVICE)) from exc

    def close(self) -> None:
        pass


@dataclass
class Room:
    """The room, and the client's identity: `open` and `find` are what a client needs of one."""

    pki: Pki
    settings: Settings
    store: DetachedStore
    state: StateFile
    jobs: DetachedJobs
    desks: Desks
    pair: FakePair
    caller: Caller
    authorise: Authorise
    forbidden: list[FdtError]  # what `authorise` raises
    accounts: Mapping[Side, str] = field(default_factory=dict)
    peers: Mapping[str, str] = field(default_factory=dict)
    opened: int = 0

    @property
    def me(self) -> ClientIdentity:
        """Pass for the identity of a client."""
        return self  # type: ignore[return-value]  # it has what is used of one

    def find(self) -> Credential:
        return self.pki.proxy

    def open(self, side: Side, address: Address, deadline: float) -> Channel:  # noqa: ARG002  # an Opener has them
        self.opened += 1
        return DeskChannel(self.desk())

    def desk(self, caller: Caller | None = None) -> Call:
        return self.desks.handler_for(caller or self.caller, lambda name, _argument: {"ordinary": name})


@contextmanager
def detached_room(pki: Pki, directory: Path, **session: float) -> Iterator[Room]:
    """Make a room below `directory`; its jobs are stopped afterwards."""
    settings = load_config("")
    settings = replace(
        settings,
        service=replace(settings.service, state_dir=str(directory)),
        session=replace(settings.session, **session),  # type: ignore[arg-type]  # tests pass numbers
    )
    pair = FakePair()
    with closing(DetachedStore(str(directory))) as store, closing(StateFile(str(directory))) as state:
        forbidden: list[FdtError] = []

        def authorise(_identity: Identity, account: str | None) -> str:
            if forbidden:
                raise forbidden[0]
            return account or ACCOUNT

        jobs = DetachedJobs(settings, store, _nobody, authorise)
        jobs.recover(state)
        caller = caller_with(pki, pki.proxy)
        memory = Memory(settings.session.max_memory, settings.session.max_memory_per_user)
        desks = Desks(jobs, memory, settings.security.rules.identity)
        room = Room(pki, settings, store, state, jobs, desks, pair, caller, authorise, forbidden)
        with patch("fdtd.detached.jobs.Openings", lambda *_: pair):
            try:
                yield room
            finally:
                jobs.leave()
                jobs.wait_ended(time.monotonic() + 20)


def _nobody(*_: object) -> Any:  # Any: it never returns
    raise AssertionError("both ends are in memory")
