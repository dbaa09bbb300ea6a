"""A lock that decisions are made under, and what they come to done behind it.

Decides that system calls that a decision asks for wait until the lock is let go of: a file system that hangs in one of
them then holds the thread that made it, and nobody else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType


class Latch(threading.Condition):
    """A condition that a thread may take again; it is notified and waited for as any other."""

    def __init__(self) -> None:
        super().__init__(threading.RLock())
        self._depth = 0  # how often the thread that has it has taken it
        self._put_off: list[Callable[[], None]] = []

    def behind(self, act: Callable[[], None]) -> None:
        """Do something as soon as the lock is let go of, in whose thread that is; call with the lock."""
        self._put_off.append(act)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, as Condition does."""
        depth, self._depth = self._depth, 0
        try:
            return super().wait(timeout)
        finally:
            self._depth = depth

    def __enter__(self) -> bool:
        taken = super().__enter__()
        self._depth += 1
        return taken

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        acts: list[Callable[[], None]] = []
        if not self._depth and self._put_off:
            acts, self._put_off = self._put_off, []
        super().__exit__(kind, value, trace)
        for act in acts:
            act()
