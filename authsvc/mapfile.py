"""Files that map names to local accounts: their lines, and how a new version of such a file is taken.

Decides the syntax that all maps share (`"NAME" account,account`), which lines are bad, and that a version that is
half-written or broken never replaces a good one.  What a name is (a DN, an FQAN) is the map's own.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from authsvc.errors import BadGridmap
from fdtcp.value import dataclass

_log: Final = logging.getLogger("authsvc.mapfile")

_HEX: Final = re.compile(r"[0-9A-Fa-f]{2}")
# POSIX portable names, which is what useradd makes; a leading dot (pool accounts) or dash is none.
_ACCOUNT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,31}")
# A map of a hundred thousand users has some 10 MB.
MAX_FILE_BYTES: Final = 64 << 20
# A copy that is under way writes every few milliseconds.
_SETTLE_S: Final = 2.0


class Sized(Protocol):
    """What knows how many names it maps."""

    def __len__(self) -> int: ...


Map_co = TypeVar("Map_co", bound=Sized, covariant=True)


class Line(NamedTuple):
    """One good line of a map."""

    number: int
    name: str
    accounts: tuple[str, ...]


def read_lines(text: str, check: Callable[[str], None]) -> tuple[list[Line], list[str]]:
    """Read the text of a map: the good lines in their order, and the problems.

    Blank lines and comments do not count.  Each problem names its line; `check` raises ValueError for a name that is
    none.
    """
    found: list[Line] = []
    problems: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        # A carriage return at the end is an editor's; anywhere else it hides something.
        stripped = line.removesuffix("\r").strip(" \t")
        if not stripped or stripped.startswith("#"):
            continue
        try:
            found.append(Line(number, *_parse_line(stripped, check)))
        except ValueError as exc:
            problems.append(f"line {number}: {exc}")
    return found, problems


def _parse_line(line: str, check: Callable[[str], None]) -> tuple[str, tuple[str, ...]]:
    if not line.replace("\t", " ").isprintable():
        raise ValueError("it holds control characters or unusual blanks")
    name, rest = _quoted(line) if line.startswith('"') else _unquoted(line)
    check(name)
    words = re.sub(r"\s*,\s*", ",", rest.strip(" \t")).split()
    if not words:
        raise ValueError(f"no account follows {name!r}")
    if len(words) > 1 and not words[1].startswith("#"):
        raise ValueError(f"more than accounts follows: {rest.strip()!r}; a name with blanks needs quotes")
    names = tuple(words[0].split(","))
    for account in names:
        if not _ACCOUNT.fullmatch(account):
            raise ValueError(f"{account!r} is not an account name")
    return name, names


def _unquoted(line: str) -> tuple[str, str]:
    name, _, rest = line.replace("\t", " ").partition(" ")
    return _unescape(name), rest


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
        raise ValueError(f"the name is not UTF-8: {exc}") from exc


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


class MapFile(Generic[Map_co]):
    """The map as it is on disk now; while a new version is unusable, the last good one stays.

    A version is unusable if it cannot be read, is not UTF-8, is quite empty or breaks off in its last line: an editor
    or a copy is at work.  A file of comments only is a good map of nobody.  Bad lines elsewhere are skipped and logged.
    """

    def __init__(self, path: str, what: str, parse: Callable[[str], tuple[Map_co, list[str]]]) -> None:
        """Read the file, which is called `what` in messages.  Raises BadGridmap: nobody starts without a map."""
        self._path = path
        self._what = what
        self._parse_text = parse
        self._lock = threading.Lock()
        self._complaint = ""
        self._state = self._look()
        self._map = self._parse(self._read())

    def check_name(self, name: str) -> None:
        """Raise ValueError for a name that such a map cannot hold; maps say what that is."""

    def key_of(self, name: str) -> str:
        """Return the same for two names that are one to this map."""
        return name

    def current(self) -> Map_co:
        """Return the map as the file is now; costs one `stat` if it has not changed."""
        with self._lock:
            try:
                self._reload()
            except BadGridmap as exc:
                if exc.reason != self._complaint:
                    _log.error("%s; the last good map with %d names stays in use", exc.reason, len(self._map))
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
            raise BadGridmap(f"cannot read the {self._what} {self._path}: {exc.strerror}") from exc
        if status.st_mode & stat.S_IWOTH:
            raise BadGridmap(
                f"the {self._what} {self._path} can be changed by anybody", remedy=f"chmod o-w {self._path}"
            )
        return _State(status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)

    def _read(self) -> str:
        try:
            with open(self._path, "rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
            text = content.decode()
        except OSError as exc:
            raise BadGridmap(f"cannot read the {self._what} {self._path}: {exc.strerror}") from exc
        except UnicodeDecodeError as exc:
            raise BadGridmap(f"the {self._what} {self._path} is not UTF-8: {exc}") from exc
        if not content or len(content) > MAX_FILE_BYTES or b"\0" in content:
            raise BadGridmap(f"the {self._what} {self._path} is empty, huge or binary ({len(content)} bytes)")
        return text

    def _parse(self, text: str) -> Map_co:
        found, problems = self._parse_text(text)
        newlines = text.count("\n")
        if not text.endswith("\n") and problems and problems[-1].startswith(f"line {newlines + 1}:"):
            raise BadGridmap(f"the {self._what} {self._path} breaks off in its last line")
        for problem in problems:
            _log.warning("%s %s, %s; the line is skipped", self._what, self._path, problem)
        return found
