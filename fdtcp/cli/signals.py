"""The signals that stop a program of ours.

A caller that loses patience sends HUP, QUIT and TERM some seconds apart, a user INT: all mean the same.
"""

from __future__ import annotations

import signal


class Signals:
    """Whether one of the signals has come.  The handler sets a flag and nothing else."""

    def __init__(self) -> None:
        self._caught = False
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: object) -> None:
        self._caught = True

    def is_caught(self) -> bool:
        """Whether to stop."""
        return self._caught
