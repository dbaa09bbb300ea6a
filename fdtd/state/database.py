"""An SQLite file of the daemon's own: opened, locked between threads, its errors told as ours.

Decides what all such files have in common; their tables are their owners'.  A lost power supply may cost the last
moments of such a file (no sync per commit); a killed daemon costs nothing that was committed.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from fdtcp.errors import Problem, ProtocolViolation
from fdtd.errors import StateFailed

# Two writers are the ticking thread and one mover's reader; a commit takes milliseconds.
BUSY_TIMEOUT_S: Final = 10.0


class Database:
    """The file, open; safe to use from all threads.  Methods raise StateFailed."""

    def __init__(self, path: str, schema: str, added: Sequence[tuple[str, str]] = ()) -> None:
        """Open the file; `added` are columns (table, definition) that files of earlier versions may not have."""
        self.path = path
        self._lock = threading.Lock()
        with ExitStack() as unless_ready:
            try:
                self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False, isolation_level=None)
                unless_ready.callback(self._db.close)
                self._prepare(schema, added)
            except (sqlite3.Error, OSError) as exc:
                raise StateFailed(f"cannot use {path}: {exc}") from exc
            unless_ready.pop_all()

    def _prepare(self, schema: str, added: Sequence[tuple[str, str]]) -> None:
        os.chmod(self.path, 0o640)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(schema)
        for table, column in added:
            known = {name for _, name, *_ in self._db.execute(f"PRAGMA table_info({table})")}
            if column.split()[0] not in known:
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the file; what is written is there as a whole or not at all."""
        with self._lock:
            try:
                with self._db:
                    self._db.execute("BEGIN IMMEDIATE")
                    yield self._db
            except sqlite3.Error as exc:
                raise StateFailed(f"cannot write {self.path}: {exc}") from exc

    def rows(self, query: str, values: tuple[object, ...]) -> list[Any]:  # Any: the query decides the columns
        """Return all rows of a query."""
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as exc:
                raise StateFailed(f"cannot read {self.path}: {exc}") from exc


def problem_text(problem: Problem | None) -> str | None:
    """Write a problem as it is stored."""
    return None if problem is None else json.dumps(problem.encode())


def read_problem(text: str | None) -> Problem | None:
    """Read what `problem_text` wrote.  Raises StateFailed."""
    if text is None:
        return None
    try:
        return Problem.decode(json.loads(text))
    except (ValueError, ProtocolViolation) as exc:
        raise StateFailed(f"a stored problem cannot be read: {exc}") from exc
