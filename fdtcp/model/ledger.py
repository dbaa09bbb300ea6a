"""The book of one job: what is known of each of its files, and what is to be asked about it next.

Decides three things.  How files are cut into chunks on their way through pre-flight (described, expected, released).
Which answers about files are believed: an index outside of the question, or a file that is called done with another
size than the source has, is a ProtocolViolation.  And that every file gets exactly one final outcome: the
destination's word, or the source's pre-flight problem, or at the end the reason why nobody could say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from fdtcp.errors import Abandoned, ChecksumMismatch, Phase, Problem, ProtocolViolation, Side, StreamsLost
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
from fdtcp.model.transfer import Transfer

Row = TypeVar("Row")

# What a destination says when it only sees that nothing comes any more: the other end may know better.
HEARSAY: Final = frozenset({StreamsLost.code, Abandoned.code})
# About what one more row costs in a message, beside the bytes of its names.
_ROW_BYTES: Final = 64
_EXTENT_BYTES: Final = 32


class Ledger:
    """The files of one job; `chunk` and `chunk_bytes` bound what goes into one call."""

    def __init__(self, transfers: Sequence[Transfer], chunk: int, chunk_bytes: int) -> None:
        self._transfers = transfers
        self._chunk = chunk
        self._chunk_bytes = chunk_bytes
        self._described = 0
        self._answered = 0
        self._to_expect: deque[DestinationFile] = deque()
        self._to_release: deque[ReleasedFile] = deque()
        self._sizes: dict[int, int] = {}
        self._judged: set[int] = set()
        self._refused: dict[int, Problem] = {}
        self._held: dict[int, Outcome] = {}
        self._expected_last = False
        self._released_last = False
        self.outcomes: dict[int, Outcome] = {}
        self.counts = dict.fromkeys(State, 0)
        self.files = len(transfers)
        self.total_bytes = 0
        self.needs_data = False

    # --- towards the source: describe ---

    @property
    def is_described(self) -> bool:
        """Whether the source has answered for every file."""
        return self._answered == len(self._transfers)

    @property
    def is_ahead(self) -> bool:
        """Whether the source has described so much that the destination should catch up first."""
        return len(self._sizes) - len(self._judged) > self._chunk

    def next_to_describe(self) -> tuple[SourceFile, ...]:
        """Return the next chunk of files to describe; empty when all have been asked about."""
        rows = (
            (SourceFile(index, self._transfers[index].source.path), len(self._transfers[index].source.path))
            for index in range(self._described, len(self._transfers))
        )
        chunk = tuple(self._cut(rows))
        self._described += len(chunk)
        return chunk

    def note_found(self, asked: Sequence[SourceFile], found: Sequence[Found]) -> tuple[Outcome, ...]:
        """Take the source's answer; return the outcomes of those files that fail here and now."""
        _check_indexes({file.index for file in asked}, [one.index for one in found], "the source")
        failed = []
        for one in sorted(found, key=lambda one: one.index):
            if one.problem is not None:
                failed.append(Outcome(one.index, State.FAILED, 0, problem=one.problem.on(Side.SOURCE)))
                continue
            if one.size < 0:
                raise ProtocolViolation(f"the source says that a file has {one.size} bytes")
            transfer = self._transfers[one.index]
            self._sizes[one.index] = one.size
            self.total_bytes += one.size
            self._to_expect.append(
                DestinationFile(
                    one.index, transfer.destination.path, one.size, one.mtime_ns, one.mode, transfer.source.text
                )
            )
        self._answered += len(asked)
        return self._settle(failed)

    # --- towards the destination: expect ---

    @property
    def is_expected(self) -> bool:
        """Whether the destination has been told of the last file."""
        return self._expected_last

    def next_to_expect(self) -> tuple[tuple[DestinationFile, ...], bool] | None:
        """Return files for the destination and whether they are the last; None if there is nothing to say now."""
        if self._expected_last or not (self._to_expect or self.is_described):
            return None
        chunk = tuple(self._cut((file, len(file.path) + len(file.source)) for file in self._to_expect))
        for _ in chunk:
            self._to_expect.popleft()
        self._expected_last = self.is_described and not self._to_expect
        return chunk, self._expected_last

    def note_verdicts(self, asked: Sequence[DestinationFile], verdicts: Sequence[Verdict]) -> None:
        """Take the destination's answer: what may go is queued for release, what may not is remembered."""
        _check_indexes({file.index for file in asked}, [one.index for one in verdicts], "the destination")
        for verdict in sorted(verdicts, key=lambda one: one.index):
            if verdict.problem is not None:
                self._refused[verdict.index] = verdict.problem.on(Side.DESTINATION)
            elif verdict.action is not Action.SKIP:
                released = ReleasedFile(
                    verdict.index, verdict.action, verdict.kept, verdict.window, verdict.device, verdict.writers
                )
                self._to_release.append(released)
                self.needs_data = True
            self._judged.add(verdict.index)

    # --- towards the source again: release ---

    @property
    def is_released(self) -> bool:
        """Whether the source has been told to send the last file."""
        return self._released_last

    def next_to_release(self) -> tuple[tuple[ReleasedFile, ...], bool] | None:
        """Return files that the source may send and whether they are the last; None if there is nothing to say now."""
        complete = self._expected_last and len(self._judged) == len(self._sizes)
        if self._released_last or not (self._to_release or complete):
            return None
        chunk = tuple(self._cut((file, len(file.kept) * _EXTENT_BYTES) for file in self._to_release))
        for _ in chunk:
            self._to_release.popleft()
        self._released_last = complete and not self._to_release
        return chunk, self._released_last

    # --- outcomes ---

    @property
    def is_settled(self) -> bool:
        """Whether the fate of every file is known, be it by hearsay."""
        return len(self.outcomes) + len(self._held) == len(self._transfers)

    @property
    def has_hearsay(self) -> bool:
        """Whether a failure is known of which only the other end can know the cause."""
        return bool(self._held)

    def note_outcomes(self, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        """Take outcomes that the destination said; return those that are final and new, hearsay is kept back."""
        fresh = []
        for outcome in outcomes:
            if outcome.index not in self._sizes:
                raise ProtocolViolation(f"the destination speaks of file {outcome.index}, which it was not told of")
            if outcome.state is not State.FAILED or (outcome.problem and outcome.problem.code not in HEARSAY):
                fresh.append(self._believe(outcome))
            elif outcome.index not in self.outcomes:
                self._held.setdefault(outcome.index, outcome)
        return self._settle(fresh)

    def finalize(self, cause: Problem | None, unsaid: Problem) -> tuple[Outcome, ...]:
        """Give every file without an outcome one, and return the new ones.

        What a file is told is the nearest that is known: the destination's refusal of it, the job's `cause`, what the
        destination said by hearsay, or `unsaid`.
        """
        fresh = []
        for index in range(len(self._transfers)):
            if index in self.outcomes:
                continue
            held = self._held.get(index) or Outcome(index, State.FAILED, self._sizes.get(index, 0))
            is_cause_better = cause is not None and (held.problem is None or cause.code not in HEARSAY)
            known = cause if is_cause_better else held.problem
            fresh.append(replace(held, problem=self._refused.get(index) or known or unsaid))
        return self._settle(fresh)

    def _believe(self, outcome: Outcome) -> Outcome:
        """Return the outcome, unless it calls a file done that cannot be."""
        if outcome.state is not State.DONE or outcome.size == self._sizes[outcome.index]:
            return outcome
        wrong = ChecksumMismatch(
            f"the destination calls it done with {outcome.size} bytes, the source has {self._sizes[outcome.index]}"
        )
        return replace(outcome, state=State.FAILED, problem=wrong.problem(Side.DESTINATION, Phase.VERIFY))

    def _cut(self, rows: Iterable[tuple[Row, int]]) -> Iterator[Row]:
        """Return items while they fit into one call; at least one, whatever its size."""
        size = 0
        for count, (row, row_bytes) in enumerate(rows):
            size += row_bytes + _ROW_BYTES
            if count == self._chunk or (count and size > self._chunk_bytes):
                return
            yield row

    def _settle(self, outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
        fresh = []
        for outcome in outcomes:
            if outcome.index not in self.outcomes:
                self._held.pop(outcome.index, None)
                self.outcomes[outcome.index] = outcome
                self.counts[outcome.state] += 1
                fresh.append(outcome)
        return tuple(fresh)


def _check_indexes(asked: set[int], answered: Sequence[int], who: str) -> None:
    if len(answered) != len(asked) or set(answered) != asked:
        raise ProtocolViolation(f"{who} did not answer for exactly those {len(asked)} files that it was asked about")
