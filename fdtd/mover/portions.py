"""How many files are taken at a time, where they may be slow.

Decides it by what the last ones took.  A reader whose batches are answered late sends smaller ones: a stream without an
answer for the stall time is dead, however well all goes at its other end.  A writer makes files that are synced one by
one safe in portions that let others wait for a small part of that time.

Pure.
"""

from __future__ import annotations

from typing import Final

# A portion is at most this part of all that has been done before: what is quick at first may only have been put into a
# buffer.  By a quarter of it at a time the largest portion is reached soon.
_PART_OF_DONE: Final = 4


class Portions:
    """Begin small, and follow what files take."""

    def __init__(self, within_s: float, first: int, most: int) -> None:
        """`within_s`: how long a portion should take."""
        self._within_s = within_s
        self._first = first
        self._most = most
        self._done = 0
        self.files = min(first, most)  # to be taken now

    def note(self, files: int, seconds: float) -> None:
        """Note how long so many files have taken."""
        self._done += files
        self.files = min(self._most, max(self._first, self._done // _PART_OF_DONE))
        if files and seconds > 0:
            self.files = max(1, min(self.files, int(files * self._within_s / seconds)))

    def note_unanswered(self, files: int, seconds: float) -> None:
        """Note that nobody knows how long so many files take, but that it is longer than that."""
        self.files = max(1, min(self.files, int(files * self._within_s / seconds)))
