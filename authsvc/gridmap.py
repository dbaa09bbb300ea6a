"""The grid-mapfile: which local accounts belong to a DN, read as Globus reads it.

Decides the syntax, which lines are bad, and when a new version of the file is taken.  Whether an account may be used at
all is `authsvc.accounts`'.

    "/DC=ch/DC=cern/CN=Some Body" alice,atlas     the first account is the default, the others may be asked for
    /O=Grid/CN=nobody nobody                      without quotes only if the DN holds no blank
"""

from __future__ import annotations

import logging
import os
import re
import stat
import threading
import time
from dataclasses import dataclass
from typing import Final

from authsvc.dn import fold
from authsvc.errors import BadGridmap

_log: Final = logging.getLogger("authsvc.gridmap")

_HEX: Final = re.compile(r"[0-9A-Fa-f]{2}")
# POSIX portable names, which is what useradd makes; a leading dot (pool accounts) or dash is none.
_ACCOUNT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,31}")
# A map of a hundred thousand users has some 10 MB.
MAX_FILE_BYTES: Final = 64 << 20
# A copy that is under way writes every few milliseconds.
_SETTLE_S: Final = 2.0


class Gridmap:
    """One version of the map."""

    def __init__(self, accounts: dict[str, tuple[str, ...]]) -> None:
        """Take accounts keyed by folded DN; `parse` makes those."""
        self._accounts = accounts

    def __len__(self) -> int:
        return len(self._accounts)

    @classmethod
    def parse(cls, text: str) -> tuple[Gridmap, list[str]]:
        """Read the text of a map.  Return it with one problem a bad line, each naming its number; those are skipped."""
        accounts: dict[str, tuple[str, ...]] = {}
        problems: list[str] = []
        for number, line in enumerate(text.split("\n"), start=1):
            stripped = line.strip()
            if not stripped or stripped.startswith("#"):
                continue
            try:
                dn, names = _parse_line(stripped)
            except ValueError as exc:
                problems.append(f"line {number}: {exc}")
                continue
            # The first line wins, as with Globus: what is appended later cannot take a DN over.
            accounts.setdefault(fold(dn), names)
        return cls(accounts), problems

    def accounts_of(self, dn: str) -> tuple[str, ...]:
        """Return the accounts of `dn`, the default first; empty if it is not mapped."""
        return self._accounts.get(fold(dn), ())


def _parse_line(line: str) -> tuple[str, tuple[str, ...]]:
    dn, rest = _quoted(line) if line.startswith('"') else _unquoted(line)
    if not dn.startswith("/"):
        raise ValueError(f"{dn!r} is not a DN: it must begin with a slash")
    words = re.sub(r"\s*,\s*", ",", rest.strip()).split()
    if not words:
        raise ValueError(f"no account follows {dn!r}")
    if len(words) > 1 and not words[1].startswith("#"):
        raise ValueError(f"more than accounts follows: {rest.strip()!r}; a DN with blanks needs quotes")
    names = tuple(words[0].split(","))
    for name in names:
        if not _ACCOUNT.fullmatch(name):
            raise ValueError(f"{name!r} is not an account name")
    return dn, names


def _unquoted(line: str) -> tuple[str, str]:
    dn, _, rest = line.replace("\t", " ").partition(" ")
    return _unescape(dn), rest


def _quoted(line: str) -> tuple[str, str]:
    position = 1
    while position < len(line):
        if line[position] == "\\":
            position += 2
        elif line[position] == '"':
            return _unescape(line[1:position]), line[position + 1 :]
        else:
            position += 1
    raise ValueError("the quote is not closed")


def _unescape(text: str) -> str:
    r"""Take backslashes away: \" \\ \/ stand for themselves, \xC3 for a byte of UTF-8, as OpenSSL prints it."""
    out = bytearray()
    position = 0
    while position < len(text):
        if text[position] != "\\" or position + 1 == len(text):
            out += text[position].encode()
            position += 1
        elif text[position + 1] == "x" and _HEX.fullmatch(text, position + 2, position + 4):
            out.append(int(text[position + 2 : position + 4], 16))
            position += 4
        else:
            out += text[position + 1].encode()
            position += 2
    try:
        return out.decode()
    except UnicodeDecodeError as exc:
        raise ValueError(f"the DN is not UTF-8: {exc}") from exc


@dataclass(frozen=True, slots=True)
class _State:
    """What tells one version of the file from another; the change time also tells a new mode or owner."""

    inode: int
    modified_ns: int
    changed_ns: int
    size: int

    @property
    def modified(self) -> float:
        return self.modified_ns / 1e9


class GridmapFile:
    """The map as it is on disk now; while a new version is unusable, the last good one stays.

    A version is unusable if it cannot be read, is not UTF-8, is quite empty or breaks off in its last line: an editor
    or a copy is at work.  A file of comments only is a good map of nobody.  Bad lines elsewhere are skipped and logged.
    """

    def __init__(self, path: str) -> None:
        """Read the file.  Raises BadGridmap: a daemon does not start without a map."""
        self._path = path
        self._lock = threading.Lock()
        self._complaint = ""
        self._state = self._look()
        self._map = self._parse(self._read())

    def accounts_of(self, dn: str) -> tuple[str, ...]:
        """Return the accounts of `dn` in the file as it is now; costs one `stat` if it has not changed."""
        return self.current().accounts_of(dn)

    def current(self) -> Gridmap:
        """Return the map to use now."""
        with self._lock:
            try:
                self._reload()
            except BadGridmap as exc:
                if exc.reason != self._complaint:
                    _log.error("%s; the last good map with %d DNs stays in use", exc.reason, len(self._map))
                self._complaint = exc.reason
            return self._map

    def _reload(self) -> None:
        state = self._look()
        if state == self._state:
            return
        text = self._read()
        if not text.endswith("\n") and time.time() - state.modified < _SETTLE_S:
            return  # the last line may be a half one that looks whole: "alice" of "alice2"; look again at the next call
        # Noted before parsing: a version that is bad is read once, and again when it changes.
        self._state = state
        self._map = self._parse(text)
        self._complaint = ""

    def _look(self) -> _State:
        try:
            status = os.stat(self._path)
        except OSError as exc:
            raise BadGridmap(f"cannot read the grid-mapfile {self._path}: {exc.strerror}") from exc
        if status.st_mode & stat.S_IWOTH:
            raise BadGridmap(
                f"the grid-mapfile {self._path} can be changed by anybody", remedy=f"chmod o-w {self._path}"
            )
        return _State(status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)

    def _read(self) -> str:
        try:
            with open(self._path, "rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
            text = content.decode()
        except OSError as exc:
            raise BadGridmap(f"cannot read the grid-mapfile {self._path}: {exc.strerror}") from exc
        except UnicodeDecodeError as exc:
            raise BadGridmap(f"the grid-mapfile {self._path} is not UTF-8: {exc}") from exc
        if not content or len(content) > MAX_FILE_BYTES or b"\0" in content:
            raise BadGridmap(f"the grid-mapfile {self._path} is empty, huge or binary ({len(content)} bytes)")
        return text

    def _parse(self, text: str) -> Gridmap:
        found, problems = Gridmap.parse(text)
        newlines = text.count("\n")
        if not text.endswith("\n") and problems and problems[-1].startswith(f"line {newlines + 1}:"):
            raise BadGridmap(f"the grid-mapfile {self._path} breaks off in its last line")
        for problem in problems:
            _log.warning("grid-mapfile %s, %s; the line is skipped", self._path, problem)
        return found
