"""How often one user may ask for what costs the daemon much.

Decides it by a schedule: each grant moves a user's next one on by a fixed time, and he may be ahead of it by so many.
Pure: `now` is monotonic seconds.
"""

from __future__ import annotations

from typing import Final

# Users who are not ahead of their schedule any more are forgotten when there are so many.
MAX_NAMES: Final = 1000


class Pace:
    """For each name `burst` grants at once, and one more every `every` seconds."""

    def __init__(self, burst: int, every: float) -> None:
        self._ahead = (burst - 1) * every
        self._every = every
        self._next: dict[str, float] = {}

    def wait_for(self, name: str, now: float) -> float:
        """Grant once and return 0, or return in how many seconds a grant is due."""
        due = max(now, self._next.get(name, now))
        early = due - now - self._ahead
        if early > 0:
            return early
        if len(self._next) >= MAX_NAMES:
            self._next = {other: at for other, at in self._next.items() if at > now}
        self._next[name] = due + self._every
        return 0.0
