"""What is written down of detached jobs, so that their ends can be read when nobody was there to see them.

Decides the tables.  A job is here from the moment it was submitted until its owner has read its end, or has not come
for it in time.  A job without an end when the daemon starts is one that died with the daemon.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fdtcp.detached import Part, Wanted
from fdtcp.errors import ProtocolViolation
from fdtcp.model.codec import decode_message, encode_message
from fdtcp.model.order import Outcome, State
from fdtd.errors import StateFailed
from fdtd.state.database import Database, problem_text, read_problem

if TYPE_CHECKING:
    import sqlite3

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, dn TEXT NOT NULL, account TEXT NOT NULL, job TEXT NOT NULL,
    began REAL NOT NULL, not_after REAL NOT NULL, files INTEGER NOT NULL, parts TEXT NOT NULL,
    ended REAL, seconds REAL NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0, UNIQUE (dn, job));
CREATE TABLE IF NOT EXISTS wanted (
    job INTEGER NOT NULL, position INTEGER NOT NULL, source BLOB NOT NULL, destination BLOB NOT NULL,
    literal INTEGER NOT NULL, PRIMARY KEY (job, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outcomes (
    job INTEGER NOT NULL, place INTEGER NOT NULL, position INTEGER NOT NULL, state TEXT NOT NULL, size INTEGER NOT NULL,
    moved INTEGER NOT NULL, kept INTEGER NOT NULL, checksum TEXT NOT NULL, finished REAL NOT NULL, problem TEXT,
    PRIMARY KEY (job, place)) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS one_end ON outcomes (job, position);
"""
# Beside its names: the numbers of a file, and its outcome.
FILE_BYTES: Final = 150
# Columns that came after files of this kind were in use.
ADDED: Final = (
    ("outcomes", "promise TEXT NOT NULL DEFAULT ''"),
    ("jobs", "stored INTEGER NOT NULL DEFAULT 0"),
)


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job as the file knows it; times in epoch seconds, `seconds` is how long it took."""

    id: int
    dn: str
    account: str
    job: str
    began: float
    not_after: float
    files: int
    parts: tuple[Part, ...]
    ended: float | None
    seconds: float
    cancelled: bool


class DetachedStore(Database):
    """The file, open; safe to use from all threads.  Methods raise StateFailed."""

    def __init__(self, directory: str) -> None:
        super().__init__(os.path.join(directory, "detached.sqlite"), SCHEMA, ADDED)

    def begin(self, job: StoredJob, wanted: Iterable[Wanted]) -> int:
        """Write down a job and its files, before anything is moved; return its number (`job.id` is not looked at)."""
        with self.transaction() as db:
            cursor = db.execute(
                "INSERT INTO jobs (dn, account, job, began, not_after, files, parts) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (job.dn, job.account, job.job, job.began, job.not_after, job.files, _parts_text(job.parts)),
            )
            number = cursor.lastrowid
            assert number is not None
            db.executemany(
                "INSERT INTO wanted VALUES (?, ?, ?, ?, ?)",
                ((number, at, one.source, one.destination, one.literal) for at, one in enumerate(wanted)),
            )
            db.execute(
                "UPDATE jobs SET stored = files * ? + (SELECT coalesce(sum(length(source) + length(destination)), 0)"
                " FROM wanted WHERE job = ?) WHERE id = ?",
                (FILE_BYTES, number, number),
            )
        return number

    def record(self, number: int, outcomes: Sequence[Outcome]) -> None:
        """Write down what is final; the first end of a file is the one that counts."""
        with self.transaction() as db:
            # Places have no gap.  Counting them would look at each, with every thousand files of a job of a million.
            query = "SELECT coalesce(max(place) + 1, 0) FROM outcomes WHERE job = ?"
            ((place,),) = db.execute(query, (number,)).fetchall()
            for one in outcomes:
                facts = (one.state.value, one.size, one.moved, one.kept, one.checksum, one.finished)
                place += db.execute(
                    "INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (number, place, one.index, *facts, problem_text(one.problem), one.promise),
                ).rowcount

    def stored_by(self, dn: str) -> int:
        """Return how many bytes are written down of this user's files."""
        ((size,),) = self.rows("SELECT coalesce(sum(stored), 0) FROM jobs WHERE dn = ?", (dn,))
        return int(size)

    def renew(self, number: int, not_after: float) -> None:
        """Write down until when the job's new proxy lasts."""
        with self.transaction() as db:
            db.execute("UPDATE jobs SET not_after = ? WHERE id = ?", (not_after, number))

    def end(self, number: int, parts: Sequence[Part], now: float, seconds: float, *, cancelled: bool) -> None:
        """Write down that nothing will follow."""
        with self.transaction() as db:
            db.execute(
                "UPDATE jobs SET ended = ?, seconds = ?, cancelled = ?, parts = ? WHERE id = ?",
                (now, seconds, cancelled, _parts_text(parts), number),
            )

    def find(self, dn: str, job: str) -> StoredJob | None:
        """Return the owner's job; another owner's is not there."""
        found = self._jobs("dn = ? AND job = ?", (dn, job))
        return found[0] if found else None

    def unfinished(self) -> list[StoredJob]:
        """Return the jobs without an end."""
        return self._jobs("ended IS NULL", ())

    def wanted(self, number: int, position: int, most: int) -> list[Wanted]:
        """Return files from `position` on."""
        rows = self.rows(
            "SELECT source, destination, literal FROM wanted WHERE job = ? AND position >= ? ORDER BY position LIMIT ?",
            (number, position, most),
        )
        return [Wanted(source, destination, bool(literal)) for source, destination, literal in rows]

    def outcomes(self, number: int, place: int, most: int) -> list[Outcome]:
        """Return outcomes in the order in which they became final, from `place` on."""
        rows = self.rows(
            "SELECT position, state, size, moved, kept, checksum, finished, problem, promise FROM outcomes"
            " WHERE job = ? AND place >= ? ORDER BY place LIMIT ?",
            (number, place, most),
        )
        return [Outcome(n, State(s), z, m, k, c, f, read_problem(p), safe) for n, s, z, m, k, c, f, p, safe in rows]

    def without_end(self, number: int) -> list[int]:
        """Return the positions of the files that have no outcome."""
        rows = self.rows(
            "SELECT position FROM wanted WHERE job = ? AND position NOT IN"
            " (SELECT position FROM outcomes WHERE job = ?) ORDER BY position",
            (number, number),
        )
        return [position for (position,) in rows]

    def forget(self, number: int) -> None:
        """Drop a job."""
        with self.transaction() as db:
            _drop(db, [number])

    def purge(self, ended_before: float) -> int:
        """Drop jobs whose owner did not come for their end in time; return how many."""
        with self.transaction() as db:
            numbers = [n for (n,) in db.execute("SELECT id FROM jobs WHERE ended < ?", (ended_before,)).fetchall()]
            _drop(db, numbers)
        return len(numbers)

    def _jobs(self, where: str, values: tuple[object, ...]) -> list[StoredJob]:
        columns = "id, dn, account, job, began, not_after, files, parts, ended, seconds, cancelled"
        rows = self.rows(f"SELECT {columns} FROM jobs WHERE {where}", values)  # noqa: S608  # both are ours
        return [
            StoredJob(
                number, dn, account, job, began, until, files, _read_parts(parts), ended, seconds, bool(cancelled)
            )
            for number, dn, account, job, began, until, files, parts, ended, seconds, cancelled in rows
        ]


@dataclass(frozen=True, slots=True)
class _Parts:
    """How the parts of a job are written."""

    parts: tuple[Part, ...]


def _parts_text(parts: Sequence[Part]) -> str:
    return json.dumps(encode_message(_Parts(tuple(parts)), binary=False))


def _read_parts(text: str) -> tuple[Part, ...]:
    try:
        return decode_message(_Parts, json.loads(text), binary=False).parts
    except (ValueError, ProtocolViolation) as exc:
        raise StateFailed(f"the parts of a stored job cannot be read: {exc}") from exc


def _drop(db: sqlite3.Connection, numbers: Iterable[int]) -> None:
    for number in numbers:
        for query in ("wanted WHERE job", "outcomes WHERE job", "jobs WHERE id"):
            db.execute(f"DELETE FROM {query} = ?", (number,))  # noqa: S608  # constants of ours
