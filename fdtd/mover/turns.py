"""Turns of threads that do many short system calls in a row: for speed only.

Decides that nobody waits for long: one of them may hang in a file system that the others have nothing to do with.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final

# A batch takes some hundredths of a second.  Who has waited for so long is better off without the turn.
PATIENCE_S: Final = 0.25


class Turn:
    """A context manager that threads share; whoever does not get it in time goes without it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder = 0

    def __enter__(self) -> None:
        if self._lock.acquire(timeout=PATIENCE_S):
            self._holder = threading.get_ident()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._holder == threading.get_ident():
            self._holder = 0
            self._lock.release()
