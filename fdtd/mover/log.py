"""The transfer's log: plain lines on standard error.

Decides the form `time level event key=value ...`, with the job on every line.  No secrets: callers log addresses,
names, numbers and problems.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Final

_STDERR: Final = 2


class Log:
    """Writes events; one line is one write, so lines of threads do not mix."""

    def __init__(self, job: str = "-", role: str = "-") -> None:
        self._tail = f" job={job} role={role}"
        self._lock = threading.Lock()

    def event(self, name: str, **values: object) -> None:
        """Say that something happened."""
        self._write("info", name, values)

    def trouble(self, name: str, **values: object) -> None:
        """Say that something went wrong."""
        self._write("warning", name, values)

    def _write(self, level: str, name: str, values: dict[str, object]) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
        words = "".join(f" {key}={_quote(value)}" for key, value in values.items())
        line = f"{stamp} {level} {name}{self._tail}{words}\n".encode("utf-8", "backslashreplace")
        with self._lock:
            try:
                os.write(_STDERR, line)
            except OSError:
                pass  # a full disk under the log must not stop the transfer


def _quote(value: object) -> str:
    text = os.fsdecode(value) if isinstance(value, bytes) else str(value)
    plain = bool(text) and all(c.isprintable() and c not in ' "=\\' for c in text)
    return text if plain else ascii(text)
