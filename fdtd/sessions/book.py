"""What one session knows of its files: asked, answered, final.

Decides that every expected file ends exactly once, that a question asked twice gets the answer of the first time, and
that nothing a mover says reaches beyond the files of its job.  Pure: what changes is returned, who acts on it is the
session's business.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from typing import Final

from fdtcp.errors import Problem, ProtocolViolation, one_line
from fdtcp.model.order import (
    Action,
    DestinationFile,
    Found,
    Outcome,
    ReleasedFile,
    SourceFile,
    State,
    Verdict,
)
from fdtd.site.paths import partial_path

# A job has up to a million files; more would not fit the daemon's memory for 100 sessions.
MAX_FILES: Final = 1_000_000
# "adler32:0a1b2c3d" and room for longer sums.
MAX_CHECKSUM_CHARS: Final = 160


class SourceBook:
    """The files of a source: what was found, and what has been released."""

    def __init__(self) -> None:
        self.found: dict[int, Found | None] = {}
        self.released: set[int] = set()
        self.all_released = False

    def unknown(self, files: Iterable[SourceFile]) -> list[SourceFile]:
        """Return those that were not asked before."""
        return [file for file in files if file.index not in self.found]

    def ask(self, files: Iterable[SourceFile]) -> list[SourceFile]:
        """Note that these are asked; return those that were not before."""
        new = self.unknown(files)
        self.found |= {file.index: None for file in new}
        return new

    def answer(self, found: Iterable[Found]) -> int:
        """Take a reader's or our own answers; return how many were duplicates.  Raises ProtocolViolation."""
        duplicates = 0
        for one in found:
            if one.index not in self.found:
                raise ProtocolViolation(f"the reader described file {one.index}, which was not asked")
            if one.problem is None and (one.size < 0 or not 0 <= one.mode <= 0o7777):
                raise ProtocolViolation(f"the reader gave file {one.index} an impossible size or mode")
            if self.found[one.index] is not None:
                duplicates += 1
            else:
                self.found[one.index] = one
        return duplicates

    def answers(self, files: Iterable[SourceFile]) -> tuple[Found, ...] | None:
        """Return the answers on all `files`, or None while one is missing."""
        answers = [self.found.get(file.index) for file in files]
        known = tuple(one for one in answers if one is not None)
        return known if len(known) == len(answers) else None

    def release(self, files: Iterable[ReleasedFile], last: bool) -> list[ReleasedFile]:
        """Return those that were not released before.  Raises ProtocolViolation for a file that was not found."""
        new = []
        for file in files:
            found = self.found.get(file.index)
            if found is None or found.problem is not None:
                raise ProtocolViolation(f"file {file.index} was released but not found before")
            if file.index not in self.released:
                new.append(file)
        if new and self.all_released:
            raise ProtocolViolation("a file was released after the last one")
        self.released.update(file.index for file in new)
        self.all_released = self.all_released or last
        return new


class DestinationBook:
    """The files of a destination: expected, judged, final."""

    def __init__(self) -> None:
        self.waiting: dict[int, DestinationFile] = {}
        self.verdicts: dict[int, Verdict] = {}
        self.outcomes: list[Outcome] = []
        # Paths of files that failed: only those can have left a partial.
        self.failed: list[bytes] = []
        self._halfway: list[bytes] = []  # of these, the ones that had bytes already
        self.all_expected = False
        self._final: set[int] = set()
        self._paths: dict[bytes, int] = {}

    def unknown(self, files: Iterable[DestinationFile]) -> list[DestinationFile]:
        """Return those that were not expected before."""
        return [file for file in files if file.index not in self.waiting and file.index not in self._final]

    def expect(self, files: Iterable[DestinationFile], last: bool) -> None:
        """Note that these will come.  Raises ProtocolViolation for one after the last."""
        new = {file.index: file for file in files}
        if new and self.all_expected:
            raise ProtocolViolation("a file was expected after the last one")
        self.waiting |= new
        self._paths |= {file.path: file.index for file in new.values()}
        self.all_expected = self.all_expected or last

    def is_waiting_for(self, path: bytes, source: bytes) -> bool:
        """Say whether this destination is expected from this source and not final."""
        index = self._paths.get(path)
        return index is not None and self.waiting[index].source == source

    def judge(self, verdicts: Iterable[Verdict]) -> int:
        """Take a writer's verdicts; return how many were duplicates.  Raises ProtocolViolation."""
        duplicates = 0
        for verdict in verdicts:
            if verdict.index not in self.waiting and verdict.index not in self._final:
                raise ProtocolViolation(f"the writer judged file {verdict.index}, which is not expected")
            if verdict.index in self.verdicts:
                duplicates += 1
            else:
                self.verdicts[verdict.index] = verdict
        return duplicates

    def answers(self, files: Iterable[DestinationFile]) -> tuple[Verdict, ...] | None:
        """Return the verdicts on all `files`, or None while one is missing."""
        answers = [self.verdicts.get(file.index) for file in files]
        known = tuple(one for one in answers if one is not None)
        return known if len(known) == len(answers) else None

    def finish(self, outcomes: Iterable[Outcome]) -> tuple[list[Outcome], int]:
        """Take final outcomes; return the new ones and how many were duplicates.  Raises ProtocolViolation."""
        new, duplicates = [], 0
        for outcome in outcomes:
            if outcome.index in self._final:
                duplicates += 1
                continue
            self._check(outcome)
            new.append(replace(outcome, checksum=one_line(outcome.checksum)[:MAX_CHECKSUM_CHARS]))
            self._close(new[-1])
        self.outcomes += new
        return new, duplicates

    def refuse(self, index: int, problem: Problem) -> Outcome:
        """Make a file final that no mover will see."""
        self.verdicts[index] = Verdict(index, Action.SKIP, problem=problem)
        outcome = Outcome(index, State.FAILED, self.waiting[index].size, problem=problem)
        self._close(outcome)
        self.outcomes.append(outcome)
        return outcome

    def abandon(self, problem: Problem) -> list[Outcome]:
        """Make all that is left final, as failed."""
        left = [Outcome(file.index, State.FAILED, file.size, problem=problem) for file in self.waiting.values()]
        for outcome in left:
            self._close(outcome)
        self.outcomes += left
        return left

    def may_have_left(self, kept: Container[bytes]) -> tuple[bytes, ...]:
        """Return beside which destinations a writer may have left what is not among the `kept` partials.

        Also beside files whose end it said: who is stopped while the disk takes its time for a sync has no time to
        remove what is being synced.
        """
        halfway = (path for path in self._halfway if partial_path(path) not in kept)
        return (*(file.path for file in self.waiting.values()), *halfway)

    def _check(self, outcome: Outcome) -> None:
        if outcome.index not in self.waiting:
            raise ProtocolViolation(f"the writer ended file {outcome.index}, which is not expected")
        if min(outcome.size, outcome.moved, outcome.kept) < 0:
            raise ProtocolViolation(f"the writer gave file {outcome.index} a negative size")
        if (outcome.state is State.FAILED) != (outcome.problem is not None):
            raise ProtocolViolation(f"the writer ended file {outcome.index} as {outcome.state} against its own problem")
        # Calling a file safe that is shorter than the source said would be the one lie that costs data.
        if outcome.state is State.DONE and outcome.size != self.waiting[outcome.index].size:
            raise ProtocolViolation(f"the writer ended file {outcome.index} with a size that was not expected")

    def _close(self, outcome: Outcome) -> None:
        index = outcome.index
        file = self.waiting.pop(index)
        self._final.add(index)
        self._paths.pop(file.path, None)
        if outcome.state is State.FAILED:
            self.failed.append(file.path)
            if outcome.moved:
                self._halfway.append(file.path)
        # A verdict stays as the answer to a repeated question; its extents can be many and are of no use any more.
        verdict = self.verdicts.get(index)
        if verdict is not None and verdict.kept:
            self.verdicts[index] = replace(verdict, kept=())


def check_indexes(files: Sequence[SourceFile | DestinationFile | ReleasedFile]) -> None:
    """Refuse a chunk with a file twice, or with an index that no job has.  Raises ProtocolViolation."""
    indexes = [file.index for file in files]
    if len(set(indexes)) != len(indexes):
        raise ProtocolViolation("a chunk names a file twice")
    if any(not 0 <= index < MAX_FILES for index in indexes):
        raise ProtocolViolation(f"the files of a job are counted from 0 and at most {MAX_FILES}")
