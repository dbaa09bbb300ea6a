"""What is told of a session: to the client that watches it, and to who runs the host.

Decides what each of them sees, of one and the same machine; when they are answered is `fdtd.live.session`'s.
"""

from __future__ import annotations

from fdtcp.contract import MAX_CHUNK, WatchReply
from fdtd.sessions.machine import Session
from fdtd.sessions.states import SessionState


def is_ended(session: Session) -> bool:
    """Say whether there is no process any more and every file is final."""
    return session.state is SessionState.ENDED


def news_of(session: Session, cursor: int) -> WatchReply:
    """Return what a client has not heard yet that has taken `cursor` outcomes."""
    outcomes = session.destination.outcomes
    news = outcomes[cursor : cursor + MAX_CHUNK]
    behind = cursor + len(news)
    ended = is_ended(session) and behind >= len(outcomes)
    return WatchReply(
        behind,
        news,
        session.moved,
        session.streams,
        ended,
        session.problem if ended else None,
        session.kept[:MAX_CHUNK] if ended else (),
        session.throttle.rate,
    )


def facts_of(session: Session, now: float, pid: int | None, memory: int) -> dict[str, object]:
    """Return facts for an administrator; `memory` is what it takes in the daemon, in bytes."""
    return {
        "job": session.key.job,
        "side": session.key.side.value,
        "dn": session.key.dn,
        "account": session.key.account,
        "state": session.state.value,
        "pid": None if is_ended(session) else pid,
        "moved": session.moved,
        "rate_limit": session.throttle.rate,
        "waiting": session.destination.waiting,
        "final": len(session.destination.outcomes),
        "memory": memory,
        "age": round(now - session.opened, 1),
        "silence": round(session.silence(now), 1),
    }
