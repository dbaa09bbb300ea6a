"""The outcomes of all files of a job: one place each in a few arrays, because there are up to a million.

Decides that the first outcome of a file is the one that counts, and how they are kept; who may say one is decided by
`fdtcp.model.ledger`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, overload

from fdtcp.errors import Problem
from fdtcp.model.columns import Columns, Rows, run_of
from fdtcp.model.order import Outcome, State

STATES: Final = tuple(State)
DONE: Final = STATES.index(State.DONE)
FAILED: Final = STATES.index(State.FAILED)
# No outcome yet.
OPEN: Final = 0xFF


class Outcomes(Mapping[int, Outcome]):
    """What is known of `files` files, by index; a map to single outcomes, made when they are looked at."""

    def __init__(self, files: int) -> None:
        self.files = files
        self.states = bytearray([OPEN]) * files
        self.sizes: array[int] = array("q", bytes(8 * files))
        self.moved: array[int] = array("q", bytes(8 * files))
        self.kept: array[int] = array("q", bytes(8 * files))
        self.finished: array[float] = array("d", bytes(8 * files))
        self.checksums = [""] * files
        # Few files have these.
        self.problems: dict[int, Problem] = {}
        self.promises: dict[int, str] = {}

    @classmethod
    def of(cls, outcomes: Sequence[Outcome | None] | Mapping[int, Outcome], files: int = 0) -> Outcomes:
        """Return these by their places in the list, whatever their own index says; None for one that is not final.

        Of a map from index to outcome one has to say how many `files` there are.
        """
        if isinstance(outcomes, Outcomes):
            return outcomes
        if isinstance(outcomes, InOrder):
            return outcomes.known
        if isinstance(outcomes, Mapping):
            outcomes = [outcomes.get(index) for index in range(files)]
        made = cls(len(outcomes))
        final = [place for place, one in enumerate(outcomes) if one is not None]
        made.note(Columns.of(Outcome, (one for one in outcomes if one is not None)).replace(index=final))
        return made

    def note(self, outcomes: Columns[Outcome]) -> Columns[Outcome]:
        """Take outcomes of files of this job; return those of files that had none."""
        indexes = outcomes.numbers("index")
        states = self.states
        fresh = [place for place, index in enumerate(indexes) if states[index] == OPEN]
        if len(fresh) != len(indexes) or len(set(indexes)) != len(indexes):
            firsts = {indexes[place]: place for place in reversed(fresh)}
            outcomes = outcomes.pick(sorted(firsts.values()))
            indexes = outcomes.numbers("index")
        if not indexes:
            return outcomes
        # Most chunks are files that follow each other; others are dealt out one by one.
        places: Sequence[int] | slice = run_of(indexes) or indexes
        for column, name in ((self.sizes, "size"), (self.moved, "moved"), (self.kept, "kept")):
            if outcomes.raw(name):
                _put(column, places, outcomes.numbers(name))
        _put(self.finished, places, outcomes.numbers("finished"))
        if outcomes.raw("checksum"):
            _put(self.checksums, places, outcomes.texts("checksum"))
        self.problems |= {indexes[place]: problem for place, problem in outcomes.rest("problem").items()}
        if outcomes.raw("promise"):
            self.promises |= {i: text for i, text in zip(indexes, outcomes.texts("promise"), strict=True) if text}
        # Last: who copies from another thread takes the states first, and then finds all else of a file that has one.
        _put(states, places, outcomes.codes("state"))
        return outcomes

    def copy(self) -> Outcomes:
        """Return what is known now, also while another thread takes more."""
        made = Outcomes(0)
        made.files = self.files
        made.states = self.states[:]
        made.sizes, made.moved, made.kept, made.finished = (
            self.sizes[:],
            self.moved[:],
            self.kept[:],
            self.finished[:],
        )
        made.checksums = self.checksums[:]
        made.problems, made.promises = dict(self.problems), dict(self.promises)
        return made

    def tally(self, state: State) -> int:
        """Return how many files ended like that."""
        return self.states.count(STATES.index(state))

    @property
    def is_whole(self) -> bool:
        """Whether every file has its outcome."""
        return OPEN not in self.states

    def missing(self) -> list[int]:
        """Return the files without an outcome."""
        return [] if self.is_whole else [index for index, state in enumerate(self.states) if state == OPEN]

    def add(self, other: Outcomes, positions: Sequence[int]) -> None:
        """Take those of a part of the files: that of its file `i` is at `positions[i]` here."""
        final = [index for index, state in enumerate(other.states) if state != OPEN]
        places = [positions[index] for index in final]
        for mine, its in zip(self._columns(), other._columns(), strict=True):
            _put(mine, places, [its[index] for index in final])
        self.problems |= {positions[index]: problem for index, problem in other.problems.items()}
        self.promises |= {positions[index]: text for index, text in other.promises.items()}

    @property
    def in_order(self) -> InOrder:
        """All files in order, None for one without an outcome."""
        return InOrder(self)

    def rows(self, start: int, stop: int) -> Columns[Outcome]:
        """Return the outcomes of files `start` to `stop`; those that have none are left out."""
        indexes = [index for index in range(start, min(stop, self.files)) if self.states[index] != OPEN]
        is_run = len(indexes) == stop - start

        def of(column: Any) -> Any:  # Any: an array or a list
            return column[start:stop] if is_run else [column[index] for index in indexes]

        return Columns.build(
            Outcome,
            len(indexes),
            index=indexes,
            state=bytes(of(self.states)),
            size=of(self.sizes),
            moved=of(self.moved),
            kept=of(self.kept),
            checksum=of(self.checksums),
            finished=of(self.finished),
            problem=_some(self.problems, indexes),
            promise=[self.promises.get(index, "") for index in indexes] if self.promises else (),
        )

    def find(self, index: int) -> Outcome | None:
        """Return the outcome of a file, if it has one."""
        state = self.states[index]
        if state == OPEN:
            return None
        return Outcome(
            index,
            STATES[state],
            self.sizes[index],
            self.moved[index],
            self.kept[index],
            self.checksums[index],
            self.finished[index],
            self.problems.get(index),
            self.promises.get(index, ""),
        )

    def __getitem__(self, index: int) -> Outcome:
        found = self.find(index) if 0 <= index < self.files else None
        if found is None:
            raise KeyError(index)
        return found

    def __len__(self) -> int:
        return self.files - self.states.count(OPEN)

    def __iter__(self) -> Iterator[int]:
        return (index for index, state in enumerate(self.states) if state != OPEN)

    def _columns(self) -> tuple[Any, ...]:  # Any: arrays and lists of different values, by index
        return self.states, self.sizes, self.moved, self.kept, self.finished, self.checksums


class InOrder(Rows[Outcome | None]):
    """All files of a list with their outcomes, each made when it is looked at."""

    def __init__(self, known: Outcomes) -> None:
        self.known = known

    def __len__(self) -> int:
        return self.known.files

    @overload
    def __getitem__(self, place: int) -> Outcome | None: ...
    @overload
    def __getitem__(self, place: slice) -> list[Outcome | None]: ...
    def __getitem__(self, place: int | slice) -> Outcome | list[Outcome | None] | None:
        places = range(self.known.files)[place]
        return self.known.find(places) if isinstance(places, int) else [self.known.find(one) for one in places]


def _some(values: Mapping[int, Problem], indexes: Sequence[int]) -> dict[int, Problem]:
    if not values:
        return {}
    return {place: values[index] for place, index in enumerate(indexes) if index in values}


def _put(column: Any, places: Sequence[int] | slice, values: Iterable[Any]) -> None:  # Any: an array or a list
    if isinstance(places, slice):
        column[places] = values
        return
    for place, value in zip(places, values, strict=True):
        column[place] = value
