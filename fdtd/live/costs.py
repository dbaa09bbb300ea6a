"""What files cost the daemon in memory, while their session lives.

Decides the figures by which a session takes from its user's share.  They are measured (tracemalloc, CPython 3.11,
chunks of 1,000 files as they come over the channel) and rounded up; what is dropped earlier is not given back earlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from sys import getsizeof
from typing import Final

from fdtcp.errors import Problem
from fdtcp.model.columns import Columns
from fdtcp.model.order import (
    Described,
    DestinationFile,
    Expected,
    Finals,
    Found,
    Kept,
    Message,
    Outcome,
    SourceFile,
    Verdict,
)
from fdtd.sessions.book import is_plain

# Without a file: the objects of a session, its mover's threads and buffers.
SESSION_BYTES: Final = 32 << 10
# A file that was described and released: 21 bytes; its name is the reader's.
SOURCE_FILE_BYTES: Final = 24
# A file that was expected, judged and has ended: 107 bytes, until then its two names; and up to 90 more where its owner
# has two sessions, which are compared by paths.
DESTINATION_FILE_BYTES: Final = 200
# A verdict that says more than what is to be done is kept as an object.
VERDICT_BYTES: Final = 260
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
    rows = Columns.of(DestinationFile, files)
    return DESTINATION_FILE_BYTES * len(rows) + len(rows.raw("path")) + len(rows.raw("source"))


def of_names(files: Sequence[SourceFile] | Sequence[DestinationFile], *names: str) -> int:
    """Return what these columns of names take as long as their call lasts."""
    if isinstance(files, Columns):
        # As they are packed: every call has a thousand of them.
        return IN_A_CALL * sum(len(files.raw(name)) for name in names)
    return IN_A_CALL * sum(len(getattr(file, name)) for file in files for name in names)


def of_words(message: Message) -> int:
    """Return what a mover's message adds: it runs as the user, so what it says counts as his."""
    match message:
        case Described(found=found):
            return sum(map(_of_problem, Columns.of(Found, found).rest("problem").values()))
        case Expected(verdicts=verdicts):
            rows = Columns.of(Verdict, verdicts)
            odd = 0 if is_plain(rows) else VERDICT_BYTES * len(rows)
            extents = sum(map(len, rows.rest("kept").values()))
            return odd + EXTENT_BYTES * extents + sum(map(_of_problem, rows.rest("problem").values()))
        case Finals(outcomes=outcomes):
            return sum(map(_of_problem, Columns.of(Outcome, outcomes).rest("problem").values()))
        case Kept(partials=partials):
            return sum(PARTIAL_BYTES + len(one.path) for one in partials)
    return 0


def _of_problem(problem: Problem) -> int:
    return getsizeof(problem.code) + getsizeof(problem.reason) + getsizeof(problem.remedy)
