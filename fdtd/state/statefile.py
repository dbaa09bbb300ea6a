"""What a daemon must still know after it was killed.

An SQLite file in the state directory holds the sessions with the files that they expect, the outcomes until they are
acknowledged, and every partial that was left at a destination.  Decides the tables and what is written when; who acts
on what is left over is `fdtd.live.sweeping`.

A lost power supply may cost the last moments of this file (no sync per commit): then outcomes are missing, the files
count as failed, and a second attempt finds them in place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import msgpack

from fdtcp.errors import Problem, ProtocolViolation, Side
from fdtcp.model.codec import decode_rows, encode_rows
from fdtcp.model.columns import Columns
from fdtcp.model.order import DestinationFile, KeptPartial, Outcome
from fdtcp.model.outcomes import DONE
from fdtd.errors import StateFailed
from fdtd.sessions.machine import SessionKey
from fdtd.state.database import Database, problem_text, read_problem

Row = TypeVar("Row", DestinationFile, Outcome)

# Files and outcomes are written a chunk a row, by columns as they came (`fdtcp.model.columns`).
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, dn TEXT NOT NULL, account TEXT NOT NULL, job TEXT NOT NULL,
    side TEXT NOT NULL, opened REAL NOT NULL, ended REAL, problem TEXT, UNIQUE (dn, account, job, side));
CREATE TABLE IF NOT EXISTS expected (
    session INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, files BLOB NOT NULL,
    PRIMARY KEY (session, first)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS said (
    session INTEGER NOT NULL, position INTEGER NOT NULL, count INTEGER NOT NULL, outcomes BLOB NOT NULL,
    PRIMARY KEY (session, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leftovers (
    account TEXT NOT NULL, destination BLOB NOT NULL, partial BLOB NOT NULL, size INTEGER NOT NULL,
    session INTEGER NOT NULL, discard INTEGER NOT NULL, due REAL NOT NULL,
    PRIMARY KEY (account, destination)) WITHOUT ROWID;
"""
# Columns that came after files of this kind were in use.
ADDED: Final = (("sessions", "scopes TEXT"), ("sessions", "stored INTEGER NOT NULL DEFAULT 0"))
# Rows of forgotten sessions go in bites, so that no call waits for a thousand of them; each is up to a thousand files.
BITE: Final = 50


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as the file knows it; times in epoch seconds, `scopes` of the token that it was opened with."""

    id: int
    key: SessionKey
    opened: float
    ended: float | None
    problem: Problem | None
    scopes: tuple[bytes, ...] | None = None


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something at a destination that a sweeper has to look at when it is due (epoch seconds)."""

    account: str
    destination: bytes
    partial: bytes
    size: int
    discard: bool
    due: float


class StateFile(Database):
    """The file, open; safe to use from all threads.  Methods raise StateFailed."""

    def __init__(self, directory: str) -> None:
        super().__init__(os.path.join(directory, "fdtd.sqlite"), SCHEMA, ADDED)

    # sessions

    def open_session(self, key: SessionKey, now: float, scopes: tuple[bytes, ...] | None = None) -> int:
        """Write down a new session; return its number."""
        with self.transaction() as db:
            cursor = db.execute(
                "INSERT INTO sessions (dn, account, job, side, opened, scopes) VALUES (?, ?, ?, ?, ?, ?)",
                (key.dn, key.account, key.job, key.side.value, now, _scopes_text(scopes)),
            )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def expect(self, session: int, files: Iterable[DestinationFile]) -> None:
        """Write down what will be written, before any of it can be: files of which none is written down already."""
        rows = Columns.of(DestinationFile, files)
        if not rows:
            return
        indexes = rows.numbers("index")
        packed = _pack(rows)
        with self.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO expected VALUES (?, ?, ?, ?)", (session, min(indexes), max(indexes), packed)
            )
            db.execute("UPDATE sessions SET stored = stored + ? WHERE id = ?", (len(packed), session))

    def record(self, session: int, account: str, position: int, outcomes: Sequence[Outcome]) -> None:
        """Write down what is final, from `position` on; what is in place has no leftovers any more."""
        rows = Columns.of(Outcome, outcomes)
        if not rows:
            return
        packed = _pack(rows)
        with self.transaction() as db:
            db.execute("INSERT INTO said VALUES (?, ?, ?, ?)", (session, position, len(rows), packed))
            db.execute("UPDATE sessions SET stored = stored + ? WHERE id = ?", (len(packed), session))
            if not db.execute("SELECT 1 FROM leftovers WHERE account = ? LIMIT 1", (account,)).fetchone():
                return
            states = zip(rows.numbers("index"), rows.codes("state"), strict=True)
            done = {index for index, state in states if state == DONE}
            first, last = min(done, default=0), max(done, default=-1)
            known = db.execute(
                "SELECT files FROM expected WHERE session = ? AND first <= ? AND last >= ?", (session, last, first)
            ).fetchall()
            for (packed,) in known:
                files = _unpack(DestinationFile, packed)
                names = zip(files.numbers("index"), files.names("path"), strict=True)
                db.executemany(
                    "DELETE FROM leftovers WHERE account = ? AND destination = ?",
                    ((account, path) for index, path in names if index in done),
                )

    def end(self, session: int, problem: Problem | None, now: float) -> None:
        """Write down that nothing will follow."""
        with self.transaction() as db:
            db.execute("UPDATE sessions SET ended = ?, problem = ? WHERE id = ?", (now, problem_text(problem), session))

    def forget(self, session: int) -> None:
        """Drop a session; its rows go with the next bites."""
        with self.transaction() as db:
            db.execute("DELETE FROM sessions WHERE id = ?", (session,))

    def find(self, key: SessionKey) -> StoredSession | None:
        """Return the session under this key."""
        where = "dn = ? AND account = ? AND job = ? AND side = ?"
        found = self._sessions(where, (key.dn, key.account, key.job, key.side.value))
        return found[0] if found else None

    def stored_by(self, dn: str) -> int:
        """Return how many bytes are written down of this user's files."""
        ((size,),) = self.rows("SELECT coalesce(sum(stored), 0) FROM sessions WHERE dn = ?", (dn,))
        return int(size)

    def unfinished(self) -> list[StoredSession]:
        """Return the sessions that did not end: at start-up, those of a daemon that was killed."""
        return self._sessions("ended IS NULL", ())

    def waiting(self, session: int) -> list[tuple[int, bytes, int]]:
        """Return (index, path, size) of the expected files that are not final."""
        final: set[int] = set()
        for (packed,) in self.rows("SELECT outcomes FROM said WHERE session = ?", (session,)):
            final.update(_unpack(Outcome, packed).numbers("index"))
        left: dict[int, tuple[int, bytes, int]] = {}
        for (packed,) in self.rows("SELECT files FROM expected WHERE session = ? ORDER BY first", (session,)):
            files = _unpack(DestinationFile, packed)
            facts = zip(files.numbers("index"), files.names("path"), files.numbers("size"), strict=True)
            left |= {index: (index, path, size) for index, path, size in facts if index not in final}
        return [left[index] for index in sorted(left)]

    def outcomes(self, session: int, position: int, most: int) -> Columns[Outcome]:
        """Return outcomes from `position` on."""
        rows = self.rows(
            "SELECT position, outcomes FROM said WHERE session = ? AND position + count > ? AND position < ?"
            " ORDER BY position",
            (session, position, position + most),
        )
        known = [(first, _unpack(Outcome, packed)) for first, packed in rows]
        cut = [part[max(0, position - first) : position + most - first] for first, part in known]
        return Columns.join(Outcome, cut)

    def count_outcomes(self, session: int) -> int:
        """Return how many files of the session are final."""
        ((count,),) = self.rows("SELECT coalesce(sum(count), 0) FROM said WHERE session = ?", (session,))
        return int(count)

    def purge(self, ended_before: float) -> int:
        """Drop sessions that nobody came back for, and a bite of the rows of forgotten ones; return how many rows."""
        gone = 0
        with self.transaction() as db:
            db.execute("DELETE FROM sessions WHERE ended < ?", (ended_before,))
            for table, column in (("expected", "first"), ("said", "position")):
                cursor = db.execute(
                    f"DELETE FROM {table} WHERE (session, {column}) IN (SELECT session, {column} FROM {table}"  # noqa: S608  # both are constants of ours
                    " WHERE session NOT IN (SELECT id FROM sessions) LIMIT ?)",
                    (BITE,),
                )
                gone += cursor.rowcount
        return gone

    # leftovers

    def keep(self, session: int, account: str, kept: Iterable[tuple[bytes, KeptPartial]], due: float) -> None:
        """Write down partials that stay until `due`, by destination."""
        rows = ((account, destination, one.path, one.size, session, 1, due) for destination, one in kept)
        with self.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO leftovers VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def sweep_later(self, session: int, account: str, paths: Iterable[bytes], discard: bool, due: float) -> None:
        """Write down destinations that could not be swept now."""
        rows = ((account, path, b"", 0, session, int(discard), due) for path in paths)
        with self.transaction() as db:
            db.executemany("INSERT OR IGNORE INTO leftovers VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def discard(self, session: int) -> None:
        """Make what a session left due at once, to be removed."""
        with self.transaction() as db:
            db.execute("UPDATE leftovers SET due = 0, discard = 1 WHERE session = ?", (session,))

    def postpone(self, account: str, paths: Iterable[bytes], due: float) -> None:
        """Try these again at `due`."""
        with self.transaction() as db:
            db.executemany(
                "UPDATE leftovers SET due = ? WHERE account = ? AND destination = ?", ((due, account, p) for p in paths)
            )

    def swept(self, account: str, paths: Iterable[bytes]) -> None:
        """Nothing is left over there any more."""
        with self.transaction() as db:
            db.executemany(
                "DELETE FROM leftovers WHERE account = ? AND destination = ?", ((account, path) for path in paths)
            )

    def leftovers(self, due_before: float | None = None, most: int = 1000) -> list[Leftover]:
        """Return what is left over (and due), the oldest first."""
        rows = self.rows(
            "SELECT account, destination, partial, size, discard, due FROM leftovers"
            " WHERE due <= ? ORDER BY due LIMIT ?",
            (float("inf") if due_before is None else due_before, most),
        )
        return [Leftover(a, d, p, s, bool(x), due) for a, d, p, s, x, due in rows]

    # inside

    def _sessions(self, where: str, values: tuple[object, ...]) -> list[StoredSession]:
        rows = self.rows(
            f"SELECT id, dn, account, job, side, opened, ended, problem, scopes FROM sessions WHERE {where}",  # noqa: S608  # `where` is ours
            values,
        )
        return [
            StoredSession(i, SessionKey(d, a, j, Side(s)), o, e, read_problem(p), _read_scopes(scopes))
            for i, d, a, j, s, o, e, p, scopes in rows
        ]


def _scopes_text(scopes: tuple[bytes, ...] | None) -> str | None:
    return None if scopes is None else json.dumps([one.decode("latin-1") for one in scopes])


def _read_scopes(text: str | None) -> tuple[bytes, ...] | None:
    return None if text is None else tuple(one.encode("latin-1") for one in json.loads(text))


def _pack(rows: Columns[DestinationFile] | Columns[Outcome]) -> bytes:
    packed: bytes = msgpack.packb(encode_rows(rows))
    return packed


def _unpack(kind: type[Row], packed: bytes) -> Columns[Row]:
    try:
        return decode_rows(kind, msgpack.unpackb(packed))
    except (ValueError, ProtocolViolation) as exc:
        raise StateFailed(f"stored rows cannot be read: {exc}") from exc
