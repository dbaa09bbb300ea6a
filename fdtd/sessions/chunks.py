"""Files of a session as they came, chunk by chunk, and a few bytes for each of them.

Decides how much a daemon keeps of a file: its names only until it is final, because of a million files the names would
be hundreds of megabytes; its outcome packed, as the mover said it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import overload

from fdtcp.model.columns import Columns, Rows, run_of
from fdtcp.model.order import DestinationFile, Outcome


def states_of(states: bytearray, indexes: Sequence[int]) -> bytes:
    """Return a byte for each of these files; 0 for one that was never marked."""
    if not indexes:
        return b""
    if (run := run_of(indexes)) is not None:
        return bytes(states[run]).ljust(len(indexes), b"\0")
    if min(indexes) >= 0 and max(indexes) < len(states):
        return bytes(map(states.__getitem__, indexes))
    return bytes(states[index] if 0 <= index < len(states) else 0 for index in indexes)


def mark(states: bytearray, indexes: Sequence[int], state: int) -> None:
    """Write a byte for each of these files, whose indexes have been checked."""
    if not indexes:
        return
    states.extend(bytes(max(0, max(indexes) + 1 - len(states))))
    put(states, indexes, bytes([state]) * len(indexes))


def fit(column: array[int], states: bytearray) -> None:
    """Give each file that has a state a place in a column, too."""
    column.frombytes(bytes(column.itemsize * (len(states) - len(column))))


def values_of(column: array[int], indexes: Sequence[int]) -> array[int]:
    """Return the values of these files, all of which have one."""
    run = run_of(indexes)
    return column[run] if run is not None else array(column.typecode, map(column.__getitem__, indexes))


def put(column: array[int] | bytearray, indexes: Sequence[int], values: Sequence[int]) -> None:
    """Write a value for each of these files, all of which have a place."""
    if (run := run_of(indexes)) is None:
        for index, value in zip(indexes, values, strict=True):
            column[index] = value
    elif isinstance(column, bytearray):
        column[run] = bytes(values)
    else:
        column[run] = array(column.typecode, values)


class Chunks:
    """The expected files of a session whose names may still be wanted."""

    def __init__(self) -> None:
        self._chunks: list[Columns[DestinationFile] | None] = []
        self._open: list[int] = []  # how many files of each are not final
        self._chunk_of: array[int] = array("I")
        # In which chunk a path is, by the path's hash.  Only a session whose owner has another one is asked for that:
        # then all paths are put in order.
        self._by_path: dict[int, int] | None = None

    def add(self, files: Columns[DestinationFile]) -> None:
        """Take files that are new."""
        if not files:
            return
        indexes = files.numbers("index")
        self._chunk_of.extend([0] * (max(indexes) + 1 - len(self._chunk_of)))
        put(self._chunk_of, indexes, [len(self._chunks)] * len(indexes))
        self._chunks.append(files)
        self._open.append(len(files))
        if self._by_path is not None:
            self._by_path |= dict.fromkeys(map(hash, files.names("path")), len(self._chunks) - 1)

    def drop(self, indexes: Sequence[int]) -> None:
        """Note that these are final."""
        numbers = values_of(self._chunk_of, indexes)
        for number in set(numbers):
            self._open[number] -= numbers.count(number)
            if not self._open[number]:
                chunk, self._chunks[number] = self._chunks[number], None
                if self._by_path is not None and chunk is not None:
                    for path in chunk.names("path"):
                        self._by_path.pop(hash(path), None)

    def paths(self) -> Iterator[tuple[int, bytes]]:
        """Return index and path of what is left; some of it may be final."""
        for chunk in self._chunks:
            if chunk is not None:
                yield from zip(chunk.numbers("index"), chunk.names("path"), strict=True)

    def paths_of(self, indexes: set[int]) -> dict[int, bytes]:
        """Return the paths of files that are not dropped, by index."""
        found: dict[int, bytes] = {}
        for number in {self._chunk_of[index] for index in indexes}:
            if (chunk := self._chunks[number]) is not None:
                names = zip(chunk.numbers("index"), chunk.names("path"), strict=True)
                found |= {index: path for index, path in names if index in indexes}
        return found

    def find(self, path: bytes) -> DestinationFile | None:
        """Return the file with this path, if it is still there; it may be final."""
        if self._by_path is None:
            self._by_path = {}
            for number, chunk in enumerate(self._chunks):
                names = chunk.names("path") if chunk is not None else []
                self._by_path |= dict.fromkeys(map(hash, names), number)
        number = self._by_path.get(hash(path), -1)
        chunk = self._chunks[number] if number >= 0 else None
        if chunk is None or path not in (names := chunk.names("path")):
            return None
        return chunk[names.index(path)]


class Said(Rows[Outcome]):
    """Outcomes in the order in which they were said, by position."""

    def __init__(self) -> None:
        self._parts: list[Columns[Outcome]] = []
        self._ends: list[int] = []

    def add(self, outcomes: Columns[Outcome]) -> None:
        """Put these at the end."""
        if outcomes:
            self._parts.append(outcomes)
            self._ends.append(len(self) + len(outcomes))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, place: int) -> Outcome: ...
    @overload
    def __getitem__(self, place: slice) -> Columns[Outcome]: ...
    def __getitem__(self, place: int | slice) -> Outcome | Columns[Outcome]:
        if isinstance(place, int):
            return self[place : place + 1][0]
        start, stop, _ = place.indices(len(self))
        parts = []
        number = bisect_right(self._ends, start)
        while start < stop:
            part = self._parts[number]
            offset = start - (self._ends[number] - len(part))
            taken = part[offset : offset + stop - start]
            parts.append(taken)
            start += len(taken)
            number += 1
        return Columns.join(Outcome, parts)
