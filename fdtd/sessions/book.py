"""What one session knows of its files: asked, answered, final.

Decides that every expected file ends exactly once, that a question asked twice gets the answer of the first time, and
that nothing a mover says reaches beyond the files of its job.  Pure: what changes is returned, who acts on it is the
session's business.

What is told of files comes by columns and is checked by columns; of each file a few bytes are kept, by its index.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from fdtcp.errors import Problem, ProtocolViolation, one_line
from fdtcp.model.columns import Columns, run_of
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
from fdtcp.model.outcomes import DONE, FAILED
from fdtd.sessions.chunks import Chunks, Said, fit, mark, put, states_of, values_of
from fdtd.site.paths import partial_path

Row = TypeVar("Row", SourceFile, DestinationFile, ReleasedFile)

# What one job may have; how much of the daemon's memory all of a user's may take is counted (`fdtd.site.memory`).
MAX_FILES: Final = 1_000_000
# "adler32:0a1b2c3d" and room for longer sums; and for what a storage promises.
MAX_TEXT_CHARS: Final = 160

_UNKNOWN: Final = 0
_ASKED, _GOOD, _BAD, _RELEASED = range(1, 5)
_WAITING, _FINAL = range(1, 3)
_ACTIONS: Final = tuple(Action)
# A verdict is kept as its action's place plus one: 0 is none.
_TO_ACTION: Final = bytes([0, *range(255)])
_FROM_ACTION: Final = bytes([*range(1, 256), 0])
_PLAIN_TEXT: Final = bytes(range(0x21, 0x7F)) + b"\0"


class SourceBook:
    """The files of a source: what was found, and what has been released."""

    def __init__(self) -> None:
        self._states = bytearray()
        self._sizes: array[int] = array("q")
        self._mtimes: array[int] = array("q")
        self._modes: array[int] = array("H")
        self._problems: dict[int, Problem] = {}
        self.all_released = False

    def unknown(self, files: Iterable[SourceFile]) -> Columns[SourceFile]:
        """Return those that were not asked before."""
        return _in_state(Columns.of(SourceFile, files), self._states, _UNKNOWN)

    def ask(self, files: Iterable[SourceFile]) -> Columns[SourceFile]:
        """Note that these are asked; return those that were not before."""
        new = self.unknown(files)
        indexes = new.numbers("index")
        mark(self._states, indexes, _ASKED)
        for column in (self._sizes, self._mtimes, self._modes):
            fit(column, self._states)
        return new

    def answer(self, found: Iterable[Found]) -> int:
        """Take a reader's or our own answers; return how many were duplicates.  Raises ProtocolViolation."""
        rows = Columns.of(Found, found)
        states = states_of(self._states, indexes := rows.numbers("index"))
        if _UNKNOWN in states:
            index = indexes[states.index(_UNKNOWN)]
            raise ProtocolViolation(f"the reader described file {index}, which was not asked")
        sizes, modes = rows.numbers("size"), rows.numbers("mode")
        if rows and (min(sizes) < 0 or min(modes) < 0 or max(modes) > 0o7777):
            raise ProtocolViolation("the reader gave a file an impossible size or mode")
        fresh = _firsts(indexes, states, _ASKED)
        if len(fresh) != len(rows):
            return len(rows) - len(fresh) + self.answer(rows.pick(fresh))
        put(self._sizes, indexes, sizes)
        put(self._mtimes, indexes, rows.numbers("mtime_ns"))
        put(self._modes, indexes, modes)
        mark(self._states, indexes, _GOOD)
        for place, problem in rows.rest("problem").items():
            self._problems[indexes[place]] = problem
            self._states[indexes[place]] = _BAD
        return 0

    def answers(self, files: Iterable[SourceFile]) -> Columns[Found] | None:
        """Return the answers on all `files`, or None while one is missing."""
        rows = Columns.of(SourceFile, files)
        states = states_of(self._states, indexes := rows.numbers("index"))
        if _UNKNOWN in states or _ASKED in states:
            return None
        return Columns.build(
            Found,
            len(rows),
            index=rows.raw("index"),
            size=values_of(self._sizes, indexes),
            mtime_ns=values_of(self._mtimes, indexes),
            mode=values_of(self._modes, indexes),
            problem={
                p: self._problems[i] for p, i in enumerate(indexes if self._problems else ()) if i in self._problems
            },
        )

    def release(self, files: Iterable[ReleasedFile], last: bool) -> Columns[ReleasedFile]:
        """Return those that were not released before.  Raises ProtocolViolation for a file that was not found."""
        rows = Columns.of(ReleasedFile, files)
        states = states_of(self._states, indexes := rows.numbers("index"))
        if states.translate(None, bytes((_GOOD, _RELEASED))):
            place = next(place for place, state in enumerate(states) if state not in (_GOOD, _RELEASED))
            raise ProtocolViolation(f"file {indexes[place]} was released but not found before")
        new = _in_state(rows, self._states, _GOOD)
        if new and self.all_released:
            raise ProtocolViolation("a file was released after the last one")
        mark(self._states, new.numbers("index"), _RELEASED)
        self.all_released = self.all_released or last
        return new


class DestinationBook:
    """The files of a destination: expected, judged, final."""

    def __init__(self) -> None:
        self.outcomes = Said()
        # Paths of files that failed: only those can have left a partial.
        self.failed: list[bytes] = []
        self._halfway: list[bytes] = []  # of these, the ones that had bytes already
        self.all_expected = False
        self.waiting = 0
        self._chunks = Chunks()
        self._states = bytearray()
        self._judged = bytearray()
        self._odd_verdicts: dict[int, Verdict] = {}  # what they say beside their action
        self._sizes: array[int] = array("q")

    def unknown(self, files: Iterable[DestinationFile]) -> Columns[DestinationFile]:
        """Return those that were not expected before."""
        return _in_state(Columns.of(DestinationFile, files), self._states, _UNKNOWN)

    def expect(self, files: Iterable[DestinationFile], last: bool) -> None:
        """Note that these will come.  Raises ProtocolViolation for one after the last."""
        new = Columns.of(DestinationFile, files)
        if new and self.all_expected:
            raise ProtocolViolation("a file was expected after the last one")
        indexes = new.numbers("index")
        mark(self._states, indexes, _WAITING)
        self._judged.extend(bytes(len(self._states) - len(self._judged)))
        fit(self._sizes, self._states)
        put(self._sizes, indexes, new.numbers("size"))
        self._chunks.add(new)
        self.waiting += len(new)
        self.all_expected = self.all_expected or last

    def is_waiting_for(self, path: bytes, source: bytes) -> bool:
        """Say whether this destination is expected from this source and not final."""
        file = self._chunks.find(path)
        return file is not None and file.source == source and self._states[file.index] == _WAITING

    def waiting_paths(self) -> list[bytes]:
        """Return the destinations that are expected and not final."""
        return [path for index, path in self._chunks.paths() if self._states[index] == _WAITING]

    def judge(self, verdicts: Iterable[Verdict]) -> int:
        """Take a writer's verdicts; return how many were duplicates.  Raises ProtocolViolation."""
        rows = Columns.of(Verdict, verdicts)
        states = states_of(self._states, indexes := rows.numbers("index"))
        if _UNKNOWN in states:
            index = indexes[states.index(_UNKNOWN)]
            raise ProtocolViolation(f"the writer judged file {index}, which is not expected")
        fresh = _firsts(indexes, states_of(self._judged, indexes), 0)
        if len(fresh) != len(rows):
            return len(rows) - len(fresh) + self.judge(rows.pick(fresh))
        put(self._judged, indexes, rows.codes("action").translate(_FROM_ACTION))
        if not is_plain(rows):
            for verdict in rows:
                if verdict != Verdict(verdict.index, verdict.action):
                    is_final = self._states[verdict.index] == _FINAL
                    self._odd_verdicts[verdict.index] = replace(verdict, kept=()) if is_final else verdict
        return 0

    def answers(self, files: Iterable[DestinationFile]) -> Columns[Verdict] | None:
        """Return the verdicts on all `files`, or None while one is missing."""
        asked = Columns.of(DestinationFile, files)
        codes = states_of(self._judged, indexes := asked.numbers("index"))
        if 0 in codes:
            return None
        index, action = asked.raw("index"), codes.translate(_TO_ACTION)
        plain: Columns[Verdict] = Columns.build(Verdict, len(asked), index=index, action=action)
        if not self._odd_verdicts:
            return plain
        return Columns.of(Verdict, (self._odd_verdicts.get(i, one) for i, one in zip(indexes, plain, strict=True)))

    def finish(self, outcomes: Iterable[Outcome]) -> tuple[Columns[Outcome], int]:
        """Take final outcomes; return the new ones and how many were duplicates.  Raises ProtocolViolation."""
        rows = Columns.of(Outcome, outcomes)
        states = states_of(self._states, indexes := rows.numbers("index"))
        if _UNKNOWN in states:
            index = indexes[states.index(_UNKNOWN)]
            raise ProtocolViolation(f"the writer ended file {index}, which is not expected")
        new = rows.pick(_firsts(indexes, states, _WAITING))
        self._check(new)
        for name in ("checksum", "promise"):
            if new.raw(name).translate(None, _PLAIN_TEXT) or _longest(new.raw(name)) > MAX_TEXT_CHARS:
                new = new.replace(**{name: [one_line(text)[:MAX_TEXT_CHARS] for text in new.texts(name)]})
        self._close(new)
        return new, len(rows) - len(new)

    def refuse(self, problems: dict[int, Problem]) -> Columns[Outcome]:
        """Make files final that no mover will see."""
        for index, problem in problems.items():
            self._judged[index] = _ACTIONS.index(Action.SKIP) + 1
            self._odd_verdicts[index] = Verdict(index, Action.SKIP, problem=problem)
        return self._fail(problems)

    def abandon(self, problem: Problem) -> Columns[Outcome]:
        """Make all that is left final, as failed."""
        left = [index for index, state in enumerate(self._states) if state == _WAITING] if self.waiting else []
        return self._fail(dict.fromkeys(left, problem))

    def may_have_left(self, kept: Container[bytes]) -> tuple[bytes, ...]:
        """Return beside which destinations a writer may have left what is not among the `kept` partials.

        Also beside files whose end it said: who is stopped while the disk takes its time for a sync has no time to
        remove what is being synced.
        """
        halfway = (path for path in self._halfway if partial_path(path) not in kept)
        return (*self.waiting_paths(), *halfway)

    def _check(self, outcomes: Columns[Outcome]) -> None:
        if any(min(outcomes.numbers(name), default=0) < 0 for name in ("size", "moved", "kept")):
            raise ProtocolViolation("the writer gave a file a negative size")
        indexes, states = outcomes.numbers("index"), outcomes.codes("state")
        problems = outcomes.rest("problem")
        if states.count(FAILED) != len(problems) or any(states[place] != FAILED for place in problems):
            raise ProtocolViolation("the writer ended a file against its own problem")
        # Calling a file safe that is shorter than the source said would be the one lie that costs data.
        sizes, expected = outcomes.numbers("size"), values_of(self._sizes, indexes)
        if sizes != expected and any(s == DONE and a != b for s, a, b in zip(states, sizes, expected, strict=True)):
            raise ProtocolViolation("the writer ended a file with a size that was not expected")

    def _fail(self, problems: dict[int, Problem]) -> Columns[Outcome]:
        failed = (Outcome(i, State.FAILED, self._sizes[i], problem=problem) for i, problem in problems.items())
        outcomes = Columns.of(Outcome, failed)
        self._close(outcomes)
        return outcomes

    def _close(self, outcomes: Columns[Outcome]) -> None:
        indexes = outcomes.numbers("index")
        mark(self._states, indexes, _FINAL)
        self.waiting -= len(outcomes)
        if failed := outcomes.rest("problem"):
            paths = self._chunks.paths_of({indexes[place] for place in failed})
            moved = outcomes.numbers("moved")
            self.failed += [paths[indexes[place]] for place in failed]
            self._halfway += [paths[indexes[place]] for place in failed if moved[place]]
        self._chunks.drop(indexes)
        # A verdict stays as the answer to a repeated question; its extents can be many and are of no use any more.
        for index in indexes if self._odd_verdicts else ():
            if (verdict := self._odd_verdicts.get(index)) is not None and verdict.kept:
                self._odd_verdicts[index] = replace(verdict, kept=())
        self.outcomes.add(outcomes)


def check_indexes(files: Sequence[SourceFile | DestinationFile | ReleasedFile]) -> None:
    """Refuse a chunk with a file twice, or with an index that no job has.  Raises ProtocolViolation."""
    indexes = files.numbers("index") if isinstance(files, Columns) else array("q", (file.index for file in files))
    if (run := run_of(indexes)) is not None and run.stop <= MAX_FILES:
        return
    if len(set(indexes)) != len(indexes):
        raise ProtocolViolation("a chunk names a file twice")
    if indexes and not (min(indexes) >= 0 and max(indexes) < MAX_FILES):
        raise ProtocolViolation(f"the files of a job are counted from 0 and at most {MAX_FILES}")


def _in_state(rows: Columns[Row], states: bytearray, state: int) -> Columns[Row]:
    """Return those of these files that are in this state."""
    found = states_of(states, rows.numbers("index"))
    return rows if found.count(state) == len(found) else rows.pick([p for p, one in enumerate(found) if one == state])


def _longest(texts: bytes) -> int:
    return max(map(len, texts.split(b"\0")))


def without(files: Columns[Row], refused: Mapping[int, Problem]) -> Columns[Row]:
    """Return the files that are not among those that are refused, by index."""
    return files.pick([p for p, i in enumerate(files.numbers("index")) if i not in refused]) if refused else files


def _firsts(indexes: Sequence[int], states: bytes, state: int) -> Sequence[int]:
    """Return the places of the first row of each file that is in this state."""
    if run_of(indexes) is not None and states.count(state) == len(states):
        return range(len(states))
    places = [place for place, one in enumerate(states) if one == state]
    if len(set(indexes)) == len(indexes):
        return places
    return sorted({indexes[place]: place for place in reversed(places)}.values())


def is_plain(verdicts: Columns[Verdict]) -> bool:
    """Whether they say an action and nothing else."""
    return not any(values for values in verdicts.values[2:])
