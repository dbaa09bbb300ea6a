"""All sessions of a daemon: opening within limits, finding, taking over, forgetting.

Decides whether a new session may be opened, which orphaned session a new attempt takes over, and when an ended session
is dropped from memory; then `fdtd.state.statefile` alone answers for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from fdtcp.contract import MAX_CHUNK, MAX_WATCH_S, WatchReply
from fdtcp.errors import FdtError, Phase, Side
from fdtcp.model.order import DestinationFile, Policy
from fdtcp.units import format_size
from fdtd.errors import DaemonLeaving, SessionOver, StateFailed, StateFull, TooManySessions
from fdtd.live.session import LiveSession
from fdtd.live.tools import Tools
from fdtd.sessions.machine import Session, SessionKey
from fdtd.sessions.patience import Patience
from fdtd.sessions.throttle import deal
from fdtd.site.config import SessionSettings
from fdtd.site.paths import DEVICES
from fdtd.state.statefile import StateFile, StoredSession

_log: Final = logging.getLogger("fdtd.registry")

# A client watches at least once a second; one that was silent for three times as long has probably gone.
ORPHAN_S: Final = 3.0
# How long a new attempt waits for an orphaned session to let go of its files: the time a stop may take.
TAKE_OVER_S: Final = 20.0
_LOOK_S: Final = 0.1


class Registry:
    """The sessions in memory; safe to use from all threads."""

    def __init__(self, settings: SessionSettings, state: StateFile, total_rate: int = 0) -> None:
        """`total_rate`: bytes per second that all sessions together may send, and as many that they may receive."""
        self._settings = settings
        self._state = state
        self._lock = threading.Lock()
        self._live: dict[SessionKey, LiveSession] = {}
        self._leaving = False
        self.total_rate = total_rate
        self.patience = Patience(client_grace=settings.client_grace)

    def find(self, key: SessionKey) -> LiveSession | None:
        """Return the session if it is in memory."""
        with self._lock:
            return self._live.get(key)

    def open(
        self,
        key: SessionKey,
        policy: Policy,
        addresses: tuple[str, ...],
        prefixes: tuple[bytes, ...],
        tools: Tools,
        scopes: tuple[bytes, ...] | None = None,
    ) -> LiveSession:
        """Return the session, opened and its mover started if it is new.

        Raises TooManySessions, StateFull, DaemonLeaving, SessionOver, MoverNotStarted, MemoryFull, StateFailed.
        """
        with self._lock:
            if (known := self._live.get(key)) is not None:
                return known
            if (over := self.why_gone(key)) is not None:
                raise over
            self._check_room(key)
            number = self._state.open_session(key, time.time(), scopes)
            session = Session(key, policy, addresses, self.patience, time.monotonic())
            live = LiveSession(session, number, prefixes, tools, scopes)
            self._live[key] = live
        _log.info("event=session-opened job=%s side=%s account=%s dn=%r", key.job, key.side, key.account, key.dn)
        # Before it starts: it must not have all for a moment.
        self._share_out()
        try:
            live.start()
        except FdtError:
            # Nothing has happened under this key: the client may try it again.
            self._drop(live)
            self._state.forget(number)
            raise
        return live

    def take_over(self, key: SessionKey, files: Sequence[DestinationFile]) -> None:
        """Stop orphaned sessions of the same owner that write the same files from the same source.

        Waits until they have let go.  A session whose client is there is left alone: its writer's lock then tells the
        newcomer that the destination is busy.  Memory tests share their destination and stand in nobody's way.
        """
        if not (others := self._others(key)):
            return
        wanted = [file for file in files if file.path != DEVICES[Side.DESTINATION]]
        for other in [live for live in others if live.claims(wanted)]:
            deadline = time.monotonic() + TAKE_OVER_S
            calls = other.calls
            while not other.wait_ended(_LOOK_S) and time.monotonic() < deadline:
                if other.calls > calls:
                    break  # its client lives
                if other.silence(time.monotonic()) >= ORPHAN_S:
                    _log.info("event=taken-over job=%s by=%s", other.key.job, key.job)
                    other.stop("a new attempt for the same files took over")

    def stored(self, key: SessionKey) -> StoredSession | None:
        """Return what is written down of the session."""
        return self._state.find(key)

    def watch_stored(self, key: SessionKey, cursor: int, wait: float) -> WatchReply | None:
        """Answer for a session that is not in memory; None if there is no such session."""
        stored = self._state.find(key)
        if stored is None:
            return None
        outcomes = self._state.outcomes(stored.id, cursor, MAX_CHUNK)
        behind = cursor + len(outcomes)
        if stored.ended is None and not outcomes:
            # It is being swept after a crash of the daemon; nothing here can wake us.
            time.sleep(max(0.0, min(wait, MAX_WATCH_S)))
        ended = stored.ended is not None and behind >= self._state.count_outcomes(stored.id)
        return WatchReply(behind, outcomes, 0, (), ended, stored.problem if ended else None)

    def forget_stored(self, key: SessionKey) -> None:
        """Drop a session that is not in memory, if it has ended."""
        stored = self._state.find(key)
        if stored is not None and stored.ended is not None:
            self._state.forget(stored.id)

    def abort_stored(self, key: SessionKey, discard: bool) -> bool:
        """Have removed what an ended session left; say whether there is such a session."""
        stored = self._state.find(key)
        if stored is not None and discard:
            self._state.discard(stored.id)
        return stored is not None

    def why_gone(self, key: SessionKey) -> SessionOver | None:
        """Return why a session takes no more calls; None if there never was one."""
        stored = self._state.find(key)
        return None if stored is None else SessionOver("the transfer is over already", cause=stored.problem)

    def tick(self, now: float) -> None:
        """Do what is due in all sessions, and drop those that nobody asks for any more."""
        self._share_out()
        for live in self.all():
            try:
                self._tick(live, now)
            except StateFailed:
                raise
            except Exception:  # noqa: BLE001  # a bug that one session has met must not end all others with the daemon
                _log.exception("event=session-failed job=%s side=%s", live.key.job, live.key.side)
                live.kill()
                self._drop(live)

    def all(self) -> list[LiveSession]:
        """Return the sessions in memory."""
        with self._lock:
            return list(self._live.values())

    def running(self) -> list[LiveSession]:
        """Return those that have not ended."""
        return [live for live in self.all() if not live.is_ended]

    def set_total_rate(self, rate: int) -> None:
        """Let all sessions together move at another rate; 0: no limit."""
        self.total_rate = rate
        self._share_out()

    def leave(self) -> None:
        """Open no new sessions from now on."""
        with self._lock:
            self._leaving = True

    def _tick(self, live: LiveSession, now: float) -> None:
        live.tick(now)
        if live.is_finished:
            self._state.forget(live.number)
            self._drop(live)
        elif live.is_ended and live.silence(now) > self._settings.client_grace:
            self._drop(live)

    def _share_out(self) -> None:
        for side in (Side.SOURCE, Side.DESTINATION):
            running = [live for live in self.running() if live.key.side is side]
            shares = deal(self.total_rate, [live.session.throttle.limit for live in running])
            for live, share in zip(running, shares, strict=True):
                live.set_share(share)

    def _check_room(self, key: SessionKey) -> None:
        if self._leaving:
            raise DaemonLeaving("the daemon takes no new transfers: it is leaving", phase=Phase.PREPARE)
        running = [live.key for live in self._live.values() if not live.is_ended]
        if len(running) >= self._settings.max_sessions:
            raise TooManySessions(f"all {len(running)} sessions of this daemon are taken", phase=Phase.PREPARE)
        mine = sum(other.dn == key.dn for other in running)
        if mine >= self._settings.max_sessions_per_user:
            raise TooManySessions(f"you have {mine} sessions at this daemon already", phase=Phase.PREPARE)
        if (stored := self._state.stored_by(key.dn)) > self._settings.max_state_per_user:
            raise StateFull(f"{format_size(stored)} are written down of your jobs here", phase=Phase.PREPARE)

    def _others(self, key: SessionKey) -> list[LiveSession]:
        """Return what else runs on that side for that owner."""
        return [
            live
            for live in self.running()
            if live.key != key and (live.key.dn, live.key.account, live.key.side) == (key.dn, key.account, key.side)
        ]

    def _drop(self, live: LiveSession) -> None:
        with self._lock:
            self._live.pop(live.key, None)
        live.close()
