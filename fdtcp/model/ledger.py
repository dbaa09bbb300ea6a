"""The book of one job: what is known of each of its files, and what is to be asked about it next.

Decides three things.  How files are cut into chunks on their way through pre-flight (described, expected, released).
Which answers about files are believed: an index outside of the question, or a file that is called done with another
size than the source has, is a ProtocolViolation.  And that every file gets exactly one final outcome: the
destination's word, or the source's pre-flight problem, or at the end the reason why nobody could say.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Generic, TypeVar

from fdtcp.errors import Abandoned, ChecksumMismatch, Phase, Problem, ProtocolViolation, Side, StreamsLost
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
from fdtcp.model.outcomes import FAILED, Outcomes
from fdtcp.model.transfer import Transfer, Transfers

Row = TypeVar("Row", DestinationFile, ReleasedFile)
Answer = TypeVar("Answer", Found, Verdict)

# What a destination says when it only sees that nothing comes any more: the other end may know better.
HEARSAY: Final = frozenset({StreamsLost.code, Abandoned.code})
# About what one more row costs in a message, beside the bytes of its names.
_ROW_BYTES: Final = 64
_EXTENT_BYTES: Final = 32
_SKIP: Final = tuple(Action).index(Action.SKIP)
# A size that is not known.
_UNKNOWN: Final = -1


class Ledger:
    """The files of one job; `chunk` and `chunk_bytes` bound what goes into one call."""

    def __init__(self, transfers: Sequence[Transfer], chunk: int, chunk_bytes: int) -> None:
        self._transfers = Transfers.of(transfers)
        self._chunk = chunk
        self._chunk_bytes = chunk_bytes
        self.files = len(transfers)
        self._asked = 0
        self._answered = 0
        self._found = 0
        self._judged = 0
        self._sizes = array("q", [_UNKNOWN]) * self.files
        self._to_expect: Backlog[DestinationFile] = Backlog(DestinationFile)
        self._to_release: Backlog[ReleasedFile] = Backlog(ReleasedFile)
        self._refused: dict[int, Problem] = {}
        self._held: dict[int, Outcome] = {}
        self._expected_last = False
        self._released_last = False
        self.outcomes = Outcomes(self.files)
        self.counts = dict.fromkeys(State, 0)
        self.total_bytes = 0
        self.needs_data = False

    # --- towards the source: describe ---

    @property
    def is_described(self) -> bool:
        """Whether the source has answered for every file."""
        return self._answered == self.files

    @property
    def is_ahead(self) -> bool:
        """Whether the source has described so much that the destination should catch up first."""
        return self._found - self._judged > self._chunk

    def next_to_describe(self) -> Sequence[SourceFile]:
        """Return the next chunk of files to describe; empty when all have been asked about."""
        start = self._asked
        stop = min(start + self._chunk, self.files)
        paths = self._transfers.source_paths(start, stop)
        paths = paths[: _fitting([len(path) + _ROW_BYTES for path in paths], self._chunk, self._chunk_bytes)]
        self._asked += len(paths)
        return Columns.build(SourceFile, len(paths), index=range(start, start + len(paths)), path=paths)

    def note_found(self, asked: Sequence[SourceFile], found: Sequence[Found]) -> Columns[Outcome]:
        """Take the source's answer; return the outcomes of those files that fail here and now."""
        rows = _in_order(Columns.of(SourceFile, asked), Columns.of(Found, found), "the source")
        bad = rows.rest("problem")
        indexes = rows.numbers("index")
        failed = [
            Outcome(indexes[place], State.FAILED, 0, problem=problem.on(Side.SOURCE)) for place, problem in bad.items()
        ]
        if bad:
            rows = rows.pick([place for place in range(len(rows)) if place not in bad])
        if rows:
            self._note_good(rows)
        self._answered += len(indexes)
        return self._settle(Columns.of(Outcome, failed))

    def _note_good(self, found: Columns[Found]) -> None:
        indexes, sizes = found.numbers("index"), found.numbers("size")
        if min(sizes) < 0:
            raise ProtocolViolation(f"the source says that a file has {min(sizes)} bytes")
        if (run := run_of(indexes)) is not None:
            self._sizes[run] = sizes
        else:
            for index, size in zip(indexes, sizes, strict=True):
                self._sizes[index] = size
        self._found += len(indexes)
        self.total_bytes += sum(sizes)
        # Chunks are cut from the list in order: what is between the first and the last is most of it, if not all.
        first, stop = indexes[0], indexes[-1] + 1
        paths = self._transfers.destination_paths(first, stop)
        sources = self._transfers.sources[first:stop]
        if len(paths) != len(indexes):
            paths = [paths[index - first] for index in indexes]
            sources = [sources[index - first] for index in indexes]
        self._to_expect.add(
            Columns.build(
                DestinationFile,
                len(indexes),
                index=found.raw("index"),
                path=paths,
                size=found.raw("size"),
                mtime_ns=found.raw("mtime_ns"),
                mode=found.raw("mode"),
                source=sources,
            )
        )

    # --- towards the destination: expect ---

    @property
    def is_expected(self) -> bool:
        """Whether the destination has been told of the last file."""
        return self._expected_last

    def next_to_expect(self) -> tuple[Sequence[DestinationFile], bool] | None:
        """Return files for the destination and whether they are the last; None if there is nothing to say now."""
        if self._expected_last or not (self._to_expect or self.is_described):
            return None
        chunk = self._to_expect.take(self._chunk, self._chunk_bytes)
        self._expected_last = self.is_described and not self._to_expect
        return chunk, self._expected_last

    def note_verdicts(self, asked: Sequence[DestinationFile], verdicts: Sequence[Verdict]) -> None:
        """Take the destination's answer: what may go is queued for release, what may not is remembered."""
        rows = _in_order(Columns.of(DestinationFile, asked), Columns.of(Verdict, verdicts), "the destination")
        self._judged += len(rows)
        bad = rows.rest("problem")
        actions = rows.codes("action")
        if bad:
            indexes = rows.numbers("index")
            self._refused |= {indexes[place]: problem.on(Side.DESTINATION) for place, problem in bad.items()}
        if bad or _SKIP in actions:
            rows = rows.pick([p for p, action in enumerate(actions) if action != _SKIP and p not in bad])
        if rows:
            # Whatever a verdict says to the writer's reader goes on as it came.
            self._to_release.add(rows.as_kind(ReleasedFile))
            self.needs_data = True

    # --- towards the source again: release ---

    @property
    def is_released(self) -> bool:
        """Whether the source has been told to send the last file."""
        return self._released_last

    def next_to_release(self) -> tuple[Sequence[ReleasedFile], bool] | None:
        """Return files that the source may send and whether they are the last; None if there is nothing to say now."""
        complete = self._expected_last and self._judged == self._found
        if self._released_last or not (self._to_release or complete):
            return None
        chunk = self._to_release.take(self._chunk, self._chunk_bytes)
        self._released_last = complete and not self._to_release
        return chunk, self._released_last

    # --- outcomes ---

    @property
    def is_settled(self) -> bool:
        """Whether the fate of every file is known, be it by hearsay."""
        return sum(self.counts.values()) + len(self._held) == self.files

    @property
    def has_hearsay(self) -> bool:
        """Whether a failure is known of which only the other end can know the cause."""
        return bool(self._held)

    def note_outcomes(self, outcomes: Sequence[Outcome]) -> Columns[Outcome]:
        """Take outcomes that the destination said; return those that are final and new, hearsay is kept back."""
        rows = Columns.of(Outcome, outcomes)
        sizes = self._sizes_of(rows.numbers("index"))
        if FAILED not in rows.codes("state") and rows.numbers("size") == sizes:
            return self._settle(rows)
        fresh = []
        for outcome in rows:
            if outcome.state is not State.FAILED or (outcome.problem and outcome.problem.code not in HEARSAY):
                fresh.append(self._believe(outcome))
            elif outcome.index not in self.outcomes:
                self._held.setdefault(outcome.index, outcome)
        return self._settle(Columns.of(Outcome, fresh))

    def finalize(self, cause: Problem | None, unsaid: Problem) -> Columns[Outcome]:
        """Give every file without an outcome one, and return the new ones.

        What a file is told is the nearest that is known: the destination's refusal of it, the job's `cause`, what the
        destination said by hearsay, or `unsaid`.
        """
        fresh = []
        for index in self.outcomes.missing():
            held = self._held.get(index) or Outcome(index, State.FAILED, max(0, self._sizes[index]))
            is_cause_better = cause is not None and (held.problem is None or cause.code not in HEARSAY)
            known = cause if is_cause_better else held.problem
            fresh.append(replace(held, problem=self._refused.get(index) or known or unsaid))
        return self._settle(Columns.of(Outcome, fresh))

    def _sizes_of(self, indexes: array[int]) -> array[int]:
        """Return the sizes of files that the destination was told of.  Raises ProtocolViolation for others."""
        if (run := run_of(indexes)) is not None and run.stop <= self.files and _UNKNOWN not in self._sizes[run]:
            return self._sizes[run]
        for index in indexes:
            if not (0 <= index < self.files and self._sizes[index] != _UNKNOWN):
                raise ProtocolViolation(f"the destination speaks of file {index}, which it was not told of")
        return array("q", map(self._sizes.__getitem__, indexes))

    def _believe(self, outcome: Outcome) -> Outcome:
        """Return the outcome, unless it calls a file done that cannot be."""
        if outcome.state is not State.DONE or outcome.size == self._sizes[outcome.index]:
            return outcome
        wrong = ChecksumMismatch(
            f"the destination calls it done with {outcome.size} bytes, the source has {self._sizes[outcome.index]}"
        )
        return replace(outcome, state=State.FAILED, problem=wrong.problem(Side.DESTINATION, Phase.VERIFY))

    def _settle(self, outcomes: Columns[Outcome]) -> Columns[Outcome]:
        fresh = self.outcomes.note(outcomes)
        for state in State:
            self.counts[state] = self.outcomes.tally(state)
        if self._held:
            for index in fresh.numbers("index"):
                self._held.pop(index, None)
        return fresh


class Backlog(Generic[Row]):
    """Rows that wait for their call."""

    def __init__(self, kind: type[Row]) -> None:
        self._kind: type[Row] = kind
        self._parts: deque[Columns[Row]] = deque()

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, rows: Columns[Row]) -> None:
        """Put rows at the end."""
        self._parts.append(rows)

    def take(self, most: int, most_bytes: int) -> Columns[Row]:
        """Return rows from the front while they fit into one call; at least one, whatever its size."""
        taken: list[Columns[Row]] = []
        rows = size = 0
        while self._parts and rows < most:
            part = self._parts[0]
            weight = _weight(part)
            if rows + len(part) > most or size + weight > most_bytes:
                if taken:
                    break
                fitting = _fitting([_weight(part[place : place + 1]) for place in range(len(part))], most, most_bytes)
                taken.append(part[:fitting])
                self._parts[0] = part[fitting:]
                break
            taken.append(self._parts.popleft())
            rows, size = rows + len(part), size + weight
        return Columns.join(self._kind, taken)


def _weight(rows: Columns[DestinationFile] | Columns[ReleasedFile]) -> int:
    """Return about how many bytes rows take in a message."""
    size = len(rows) * _ROW_BYTES
    for values in rows.values:
        size += len(values) if isinstance(values, bytes) else sum(map(len, values.values())) * _EXTENT_BYTES
    return size


def _fitting(weights: Sequence[int], most: int, most_bytes: int) -> int:
    """Return how many of the first rows fit into one call; at least one."""
    if len(weights) <= most and sum(weights) <= most_bytes:
        return len(weights)
    size = 0
    for count, weight in enumerate(weights):
        size += weight
        if count == most or (count and size > most_bytes):
            return count
    return len(weights)


def _in_order(
    asked: Columns[SourceFile] | Columns[DestinationFile], answered: Columns[Answer], who: str
) -> Columns[Answer]:
    """Return the answers in the order of their files.  Raises ProtocolViolation unless it is one for each."""
    if asked.raw("index") == answered.raw("index"):
        return answered
    wanted, given = asked.numbers("index"), answered.numbers("index")
    if len(given) != len(wanted) or set(given) != set(wanted):
        raise ProtocolViolation(f"{who} did not answer for exactly those {len(wanted)} files that it was asked about")
    places = {index: place for place, index in enumerate(given)}
    return answered.pick([places[index] for index in wanted])
