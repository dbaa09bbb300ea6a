"""Words for dialogues with a session."""

from __future__ import annotations

from typing import Any  # the machine's actions take what they take

from fdtcp.errors import Abandoned, Phase, Side
from fdtcp.model.order import (
    DestinationFile,
    Endpoint,
    Outcome,
    Policy,
    State,
)
from fdtd.sessions import commands as do
from fdtd.sessions.machine import Session, SessionKey
from fdtd.sessions.patience import Patience

GRACE = 30.0
WHY = Abandoned("stopped").problem(Side.DESTINATION, Phase.TRANSFER)
HERE = Endpoint("127.1.0.2", 54321)
SECRET = b"s" * 32


def session(side: Side = Side.DESTINATION, **policy: Any) -> Session:  # Any: fields of Policy
    key = SessionKey("/CN=me", "me", "0" * 32, side)
    return Session(key, Policy(**policy), ("127.1.0.2",), Patience(client_grace=GRACE), opened=0.0)


def file(index: int, size: int = 10) -> DestinationFile:
    return DestinationFile(index, b"/data/f%d" % index, size, 0, 0o644, b"fdt://a/f%d" % index)


def done(index: int, size: int = 10) -> Outcome:
    return Outcome(index, State.DONE, size)


def expecting(*indexes: int, last: bool = True) -> Session:
    one = session()
    one.expect([file(index) for index in indexes], {}, last)
    return one


def kinds(commands: list[do.Command]) -> list[str]:
    return [type(command).__name__ for command in commands]


def outcomes(commands: list[do.Command]) -> dict[int, State]:
    return {one.index: one.state for c in commands if isinstance(c, do.Record) for one in c.outcomes}
