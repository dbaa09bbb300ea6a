"""The site's account service: one place that knows the accounts of all callers of all daemons.

Decides who may ask: the hosts that the site lists, each with its own certificate and not with a proxy of it, because
the answers tell who may do what here.  What the accounts are is `authsvc.accountmap`'s; what becomes of an answer is
the daemon's (`authsvc.service_client`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from authsvc.accountmap import AccountSource
from authsvc.channel import Caller, Handler, Value
from authsvc.dn import fold
from authsvc.errors import NotAHost
from authsvc.identity import Identity
from authsvc.service_words import CALL, Answer, Question
from fdtcp.errors import ProtocolViolation
from fdtcp.value import dataclass

_log: Final = logging.getLogger("authsvc.service")

# What a caller's hello says his account is: callers of this service have none.
NO_ACCOUNT: Final = "-"


@dataclass(frozen=True, slots=True)
class Asked:
    """The caller that a question is about, as far as maps look at him."""

    dn: str
    fqans: tuple[str, ...]


class Service:
    """Answers the mapping questions of the site's own daemons; safe to use from all threads."""

    def __init__(self, accounts: AccountSource, callers: Iterable[str]) -> None:
        """`callers`: the DNs of the host certificates that may ask."""
        self._accounts = accounts
        self._callers = frozenset(map(fold, callers))

    def authorise(self, identity: Identity, requested: str | None) -> str:  # noqa: ARG002  # callers have no account
        """Let a listed host in.  Raises NotAHost."""
        if fold(identity.dn) not in self._callers:
            raise NotAHost(f"{identity.dn} is not a host that may ask here")
        if identity.depth:
            raise NotAHost(f"{identity.dn} came with a proxy; a daemon asks with its own certificate")
        return NO_ACCOUNT

    def handler_for(self, caller: Caller) -> Handler:
        """Return the function that answers one daemon."""

        def answer(name: str, argument: dict[str, Value]) -> dict[str, Value]:
            if name != CALL:
                raise ProtocolViolation(f"there is no call {name[:40]!r} here")
            question = Question.decode(argument)
            accounts = self._accounts.accounts_of(Asked(question.dn, question.fqans))
            _log.info(
                "event=answer dn=%r fqans=%r accounts=%s for=%r",
                *(question.dn, question.fqans, ",".join(accounts) or "-", caller.identity.dn),
            )
            return Answer(accounts).encode()

        return answer
