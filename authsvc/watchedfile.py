"""Small configuration files that change while a daemon runs: parsed once a version.

Decides when a file is another version.  What a missing or bad file means is its user's; a bad version is remembered as
bad, so that it is read once and told once.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from fdtcp.value import dataclass

T = TypeVar("T")

# Two writes within one tick of the kernel's clock (10 ms at most) leave the same times: do not trust so young a file.
_RACY_NS: Final = 20_000_000


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one version of a file from another; the change time also tells a new mode or owner."""

    inode: int
    modified_ns: int
    changed_ns: int
    size: int

    @classmethod
    def of(cls, status: os.stat_result) -> Version:
        """Return the version that `stat` found."""
        return cls(status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)


class Parsed(Generic[T]):
    """Files of one kind, each parsed when it is first wanted and again when it has changed; safe from all threads."""

    def __init__(self, parse: Callable[[bytes], T], max_bytes: int) -> None:
        """`parse` makes the value or raises ValueError; a longer file than `max_bytes` is a ValueError, too."""
        self._parse = parse
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Version, T | ValueError]] = {}

    def load(self, path: str) -> T:
        """Return the file's value.  Raises FileNotFoundError, another OSError, or ValueError for a bad file."""
        try:
            status = os.stat(path)
        except OSError:
            with self._lock:
                self._known.pop(path, None)
            raise
        version = Version.of(status)
        with self._lock:
            known = self._known.get(path)
        if known is None or known[0] != version:
            known = version, self._read(path, status)
            with self._lock:
                if time.time_ns() - max(version.modified_ns, version.changed_ns) > _RACY_NS:
                    self._known[path] = known
                else:
                    self._known.pop(path, None)
        if isinstance(known[1], ValueError):
            # A new one each time: a raised exception keeps its traceback, and threads share this one.
            raise ValueError(*known[1].args)
        return known[1]

    def _read(self, path: str, status: os.stat_result) -> T | ValueError:
        if not stat.S_ISREG(status.st_mode):
            return ValueError("it is not a regular file")
        if status.st_mode & stat.S_IWOTH:
            return ValueError(f"anybody can change it (mode {stat.S_IMODE(status.st_mode):04o})")
        with open(path, "rb") as file:
            content = file.read(self._max_bytes + 1)
        if len(content) > self._max_bytes:
            return ValueError(f"it has more than {self._max_bytes} bytes")
        try:
            return self._parse(content)
        except ValueError as exc:
            return exc
