"""The daemon's side of the site's account service: asks, remembers, and goes on while the service is away.

Decides how old an answer may be.  Younger than `fresh_s` it is used without asking; older, the service is asked; while
that fails an answer of up to `stale_s` still counts, and without one the caller is refused.  "Nobody with that name" is
an answer like others, but a short-lived one: whoever has just been added should not wait.

Questions are asked in the thread of the connection that they are about, each on a connection of its own, and two
callers wait for each other only if they are the same one.  After a failure nobody asks for a while, so a service that
hangs costs one caller two seconds now and then, and all the others nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from typing import Final

from authsvc.accountmap import Mappable
from authsvc.authorities import TrustRules
from authsvc.channel import Connection
from authsvc.credentials import Credential
from authsvc.dn import fold
from authsvc.errors import AccountsUnknown
from authsvc.service_words import CALL, Answer, Question
from fdtcp.errors import FdtError, Unreachable
from fdtcp.value import dataclass

_log: Final = logging.getLogger("authsvc.service")

# A question takes 10 ms on the management network; a caller's whole handshake has five seconds.
ASK_S: Final = 2.0
# After a failure: long enough to cost nothing, short enough that a restart of the service goes unnoticed.
PAUSE_S: Final = 5.0
# How long "he has no account" is believed at most.
NOBODY_S: Final = 5.0
# Some 10 MB; a site with more users than this at a time asks more often.
MAX_ANSWERS: Final = 20_000

Key = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Known:
    accounts: tuple[str, ...]
    answered_at: float  # monotonic


class SiteAccounts:
    """The accounts as the site's service knows them; safe to use from all threads."""

    def __init__(  # where and as whom by place, the rest by name
        self,
        host: str,
        port: int,
        credential: Credential,
        ca_dir: str,
        *,
        fresh_s: float,
        stale_s: float,
        trust: TrustRules | None = None,
    ) -> None:
        """`credential` is the daemon's own; the service has to have its DN among its callers."""
        self._host, self._port = host, port
        self._credential = credential
        self._ca_dir = ca_dir
        self._trust = trust
        self._fresh_s, self._stale_s = fresh_s, max(fresh_s, stale_s)
        self._lock = threading.Lock()
        self._known: OrderedDict[Key, _Known] = OrderedDict()
        self._asking: dict[Key, threading.Event] = {}
        self._ask_not_before = 0.0
        self._is_away = False

    @property
    def name(self) -> str:
        """What it is, for messages."""
        return "the site's account service"

    def check(self) -> None:
        """Try whether the service can be asked.  Raises the FdtError that explains why not."""
        deadline = time.monotonic() + ASK_S
        try:
            with self._connect(deadline):
                return
        except Unreachable as exc:
            raise Unreachable(
                f"the site's account service: {exc.reason}",
                remedy="check that authsvc serve runs there and that its port is open from here",
            ) from exc

    def accounts_of(self, identity: Mappable, *, wait: bool = True) -> tuple[str, ...]:
        """Return the caller's accounts, the default first.  Raises AccountsUnknown.

        Without `wait` an old answer is asked for anew in the background, and what is known by now counts.
        """
        question = Question(identity.dn, identity.fqans)
        key = fold(question.dn), question.fqans
        deadline = time.monotonic() + ASK_S
        with self._lock:
            known = self._known.get(key)
            if self._is_fresh(known) or time.monotonic() < self._ask_not_before:
                return self._settle(known, identity.dn)
            asked = self._asking.get(key)
            is_first = asked is None
            if asked is None:
                asked = self._asking[key] = threading.Event()
        if is_first and wait:
            self._ask_for_all(key, question, deadline)
        elif is_first:
            arguments = (key, question, deadline)
            threading.Thread(target=self._ask_for_all, args=arguments, name="ask-accounts", daemon=True).start()
        elif wait:
            asked.wait(max(0.0, deadline - time.monotonic()))
        with self._lock:
            return self._settle(self._known.get(key), identity.dn)

    def _ask_for_all(self, key: Key, question: Question, deadline: float) -> None:
        """Ask, and wake those who wait for the same answer."""
        try:
            self._ask(key, question, deadline)
        finally:
            with self._lock:
                self._asking.pop(key).set()

    def _is_fresh(self, known: _Known | None) -> bool:
        if known is None:
            return False
        limit = self._fresh_s if known.accounts else min(self._fresh_s, NOBODY_S)
        return time.monotonic() - known.answered_at < limit

    def _settle(self, known: _Known | None, dn: str) -> tuple[str, ...]:
        """Return what is known if it may still be used; the lock is held."""
        if known is not None:
            # An answer that has just come counts, whatever is configured.
            limit = max(self._stale_s, ASK_S) if known.accounts else NOBODY_S
            if time.monotonic() - known.answered_at < limit:
                return known.accounts
        raise AccountsUnknown(
            f"the site's account service does not answer, and nothing is known of {dn} from the last "
            f"{self._stale_s:g} s"
        )

    def _ask(self, key: Key, question: Question, deadline: float) -> None:
        """Ask now and note the answer, or that there is none."""
        try:
            with self._connect(deadline) as connection:
                reply = connection.call(CALL, question.encode(), max(0.0, deadline - time.monotonic()))
            accounts = Answer.decode(reply).accounts
        except (FdtError, OSError) as exc:
            with self._lock:
                self._ask_not_before = time.monotonic() + PAUSE_S
                was_away, self._is_away = self._is_away, True
            if not was_away:
                _log.error(
                    "event=service-away service=%s:%d reason=%r; answers of up to %g s stay in use",
                    *(self._host, self._port, str(exc), self._stale_s),
                )
            return
        with self._lock:
            self._known[key] = _Known(accounts, time.monotonic())
            self._known.move_to_end(key)
            if len(self._known) > MAX_ANSWERS:
                self._known.popitem(last=False)
            was_away, self._is_away = self._is_away, False
        if was_away:
            _log.warning("event=service-back service=%s:%d", self._host, self._port)

    def _connect(self, deadline: float) -> Connection:
        return Connection.open(
            self._host,
            self._port,
            credential=self._credential,
            ca_dir=self._ca_dir,
            deadline=deadline,
            trust=self._trust,
        )
