"""Who calls, as a handler sees him."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import TypeAlias

from authsvc.channel.values import Value
from authsvc.identity import Identity
from authsvc.tokens import Grant
from fdtcp.value import dataclass

# (call name, argument) -> result; raises FdtError for what the caller is to be told.
Handler: TypeAlias = Callable[[str, dict[str, Value]], dict[str, Value]]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: identity, the account that he was given, and the numeric address that he calls from.

    `chain` is his verified chain in DER, his own certificate first, the root last: what a delegation must build on.
    `grant` is what his bearer token leaves to him; None: he brought none, and only his account limits him.
    """

    identity: Identity
    account: str
    peer: str
    chain: tuple[bytes, ...] = field(default=(), repr=False)
    grant: Grant | None = None
