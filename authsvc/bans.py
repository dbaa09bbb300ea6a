"""The list of banned users: whom a site does not serve, whatever any map says.

    # One DN a line, with or without quotes.
    "/DC=ch/DC=cern/CN=Some Body"

Decides who is banned now, and what a list means that cannot be read.  A ban is written in a hurry, and a list with a
mistake in it may be missing just the name that matters: so while it cannot be read whole, nobody new is let in, those
known to be banned stay banned (the good lines count at once), and everybody else's work that is under way goes on.  A
short closure is seen at once and harms nobody; a ban that silently does not hold is seen too late.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from typing import Final

from authsvc.dn import fold
from authsvc.errors import BadBanList, Banned
from authsvc.watchedfile import Version

_log: Final = logging.getLogger("authsvc.bans")

MAX_FILE_BYTES: Final = 16 << 20
# Editors and copies empty a file before they fill it: bans that go count only when it has been left alone for so long.
SETTLE_S: Final = 2.0
# Enough bad lines for one message.
MAX_TOLD: Final = 5


def parse(text: str) -> tuple[frozenset[str], list[str]]:
    """Return the folded DNs of a list, and one problem for each bad line, each naming its number."""
    found: set[str] = set()
    problems: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name = stripped
        if stripped.startswith('"'):
            name, quote, rest = stripped[1:].partition('"')
            if not quote or (rest.strip() and not rest.strip().startswith("#")):
                problems.append(f"line {number}: a DN in quotes is needed, and nothing after it")
                continue
        if not name.startswith("/") or "=" not in name or not name.isprintable():
            problems.append(f"line {number}: {name!r} is not a DN such as /DC=ch/CN=Some Body")
            continue
        found.add(fold(name))
    return frozenset(found), problems


class BanList:
    """The list as it is on disk now; safe to use from all threads."""

    def __init__(self, path: str) -> None:
        """Read the file; no path: nobody is banned.  Raises BadBanList: a daemon does not start without its list."""
        self._path = path
        self._lock = threading.Lock()
        self._version: Version | None = None
        self._listed: frozenset[str] = frozenset()
        self._banned: frozenset[str] = frozenset()
        self._problem: str | None = None
        self._complaint: str | None = None
        self._refresh()
        if self._problem is not None:
            raise BadBanList(self._problem)

    def check(self, dn: str) -> None:
        """Let a newcomer pass, or raise Banned; BadBanList while nobody can tell."""
        if self.is_banned(dn):
            raise Banned(f"{dn} is banned from this site")
        with self._lock:
            problem = self._problem
        if problem is not None:
            raise BadBanList(f"{problem}; nobody new is let in until it is mended")

    def is_banned(self, dn: str) -> bool:
        """Say whether somebody is known to be banned now; costs one `stat` if the file has not changed."""
        with self._lock:
            self._refresh()
            return fold(dn) in self._banned

    def _refresh(self) -> None:
        if not self._path:
            return
        try:
            self._read()
            self._problem = self._complaint = None
        except OSError as exc:
            self._complain(f"cannot read the ban list {self._path}: {exc.strerror}")
        except ValueError as exc:
            self._complain(f"the ban list {self._path} is bad, {exc}")

    def _read(self) -> None:
        status = os.stat(self._path)
        version = Version.of(status)
        age = time.time() - status.st_mtime
        # While it is young, bans that went are still waiting to be taken away; and it may change within a clock tick.
        if version == self._version and self._problem is None and self._banned == self._listed and age > SETTLE_S:
            return
        if status.st_mode & stat.S_IWOTH:
            raise ValueError(f"anybody can change it (mode {stat.S_IMODE(status.st_mode):04o})")
        with open(self._path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"it has more than {MAX_FILE_BYTES} bytes")
        listed, problems = parse(content.decode())
        if problems:
            self._banned |= listed
            raise ValueError("; ".join(problems[:MAX_TOLD]))
        if self._version is not None and version != self._version:
            _log.warning("event=ban-list path=%s banned=%d", self._path, len(listed))
        self._version, self._listed = version, listed
        # A clock that was set back makes a file of the future: it counts as settled.
        self._banned = self._listed if not 0 <= age <= SETTLE_S else self._listed | self._banned

    def _complain(self, problem: str) -> None:
        self._problem = problem
        if problem != self._complaint:
            _log.error("%s; nobody new is let in, and %d bans stay in force", problem, len(self._banned))
        self._complaint = problem
