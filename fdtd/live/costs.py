"""What files cost the daemon in memory, while their session lives.

Decides the figures by which a session takes from its user's share.  They are measured (tracemalloc, CPython 3.11,
chunks of 1,000 files as they come over the channel) and rounded up; what is dropped earlier is not given back earlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from sys import getsizeof
from typing import Final

from fdtcp.errors import Problem
from fdtcp.model.order import Described, DestinationFile, Expected, Finals, Kept, Message, SourceFile

# Without a file: the objects of a session, its mover's threads and buffers.
SESSION_BYTES: Final = 32 << 10
# A file that was described and released: 330 bytes; its name is the reader's.
SOURCE_FILE_BYTES: Final = 350
# A file that was expected, judged and has ended: 604 bytes, and its two names.
DESTINATION_FILE_BYTES: Final = 620
# Three numbers and their object.
EXTENT_BYTES: Final = 170
PARTIAL_BYTES: Final = 200
# What a name takes while a call is under way: as it came, and in an order to the mover, where JSON needs up to six
# bytes for one.
IN_A_CALL: Final = 8


def of_sources(files: Sequence[SourceFile]) -> int:
    """Return what new files of a source take."""
    return SOURCE_FILE_BYTES * len(files)


def of_destinations(files: Iterable[DestinationFile]) -> int:
    """Return what new files of a destination take."""
    return sum(DESTINATION_FILE_BYTES + len(file.path) + len(file.source) for file in files)


def of_names(files: Iterable[SourceFile | DestinationFile]) -> int:
    """Return what the names of a call take as long as it lasts."""
    return IN_A_CALL * sum(len(file.path) for file in files)


def of_words(message: Message) -> int:
    """Return what a mover's message adds: it runs as the user, so what it says counts as his."""
    match message:
        case Described(found=found):
            return sum(_of_problem(one.problem) for one in found)
        case Expected(verdicts=verdicts):
            return sum(EXTENT_BYTES * len(one.kept) + _of_problem(one.problem) for one in verdicts)
        case Finals(outcomes=outcomes):
            return sum(_of_problem(one.problem) for one in outcomes)
        case Kept(partials=partials):
            return sum(PARTIAL_BYTES + len(one.path) for one in partials)
    return 0


def _of_problem(problem: Problem | None) -> int:
    if problem is None:
        return 0
    return getsizeof(problem.code) + getsizeof(problem.reason) + getsizeof(problem.remedy)
