"""One file's way from here to there, and many of them.

Decides how a list of up to a million transfers is kept: as names, not as objects.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import overload

from fdtcp.model.columns import Rows
from fdtcp.model.pfn import Address, Pfn
from fdtcp.value import dataclass


@dataclass(frozen=True, slots=True)
class Transfer:
    """A file to be moved.

    `literal`: the Pfns came from the lines of a copyjobfile, so they hold no blanks and the report repeats them byte
    for byte; others are escaped there.
    """

    source: Pfn
    destination: Pfn
    literal: bool = False


Pair = tuple[Address, Address]


class Transfers(Rows[Transfer]):
    """Transfers by columns; single ones are made when they are looked at.

    `sources` and `destinations` are the Pfns as the user wrote them.  Of each only the length of its path is kept
    besides: a path is the end of its Pfn, whatever slashes stand before it.
    """

    __slots__ = ("_destination_lengths", "_source_lengths", "destinations", "literals", "pair_of", "pairs", "sources")

    def __init__(self) -> None:
        self.sources: list[bytes] = []
        self.destinations: list[bytes] = []
        self.literals = bytearray()
        self.pairs: list[Pair] = []  # of daemons, in the order of their first file
        self.pair_of = array("I")  # which of them, for each file
        self._source_lengths = array("I")
        self._destination_lengths = array("I")

    @classmethod
    def of(cls, transfers: Iterable[Transfer]) -> Transfers:
        """Return these by columns; what is so already is returned as it is."""
        if isinstance(transfers, Transfers):
            return transfers
        made = cls()
        for one in transfers:
            made.extend(
                [(one.source.text, one.source.path, one.destination.text, one.destination.path)],
                (one.source.address, one.destination.address),
                is_literal=one.literal,
            )
        return made

    def extend(self, names: Sequence[tuple[bytes, bytes, bytes, bytes]], pair: Pair, *, is_literal: bool) -> None:
        """Add files between one pair of daemons: source and its path, destination and its path."""
        sources, source_paths, destinations, destination_paths = zip(*names, strict=True)
        self.sources += sources
        self.destinations += destinations
        self._source_lengths.extend(map(len, source_paths))
        self._destination_lengths.extend(map(len, destination_paths))
        self.literals += bytes([is_literal]) * len(names)
        if pair not in self.pairs:
            self.pairs.append(pair)
        self.pair_of.extend(repeat(self.pairs.index(pair), len(names)))

    def source_paths(self, start: int, stop: int) -> list[bytes]:
        """Return the paths of some sources."""
        return _ends(self.sources[start:stop], self._source_lengths[start:stop])

    def destination_paths(self, start: int, stop: int) -> list[bytes]:
        """Return the paths of some destinations."""
        return _ends(self.destinations[start:stop], self._destination_lengths[start:stop])

    def part(self, indexes: Sequence[int]) -> Transfers:
        """Return the transfers at these positions; few that follow each other are quickest."""
        start = indexes[0] if indexes else 0
        stop = start + len(indexes)
        if stop > len(self) or list(indexes) != list(range(start, stop)):
            return self.pick(indexes)
        part = Transfers()
        part.sources, part.destinations = self.sources[start:stop], self.destinations[start:stop]
        part.literals, part.pairs, part.pair_of = self.literals[start:stop], self.pairs, self.pair_of[start:stop]
        part._source_lengths = self._source_lengths[start:stop]
        part._destination_lengths = self._destination_lengths[start:stop]
        return part

    def pick(self, positions: Sequence[int]) -> Transfers:
        """Return the transfers at these positions."""
        picked = Transfers()
        picked.sources = [self.sources[one] for one in positions]
        picked.destinations = [self.destinations[one] for one in positions]
        picked.literals = bytearray(self.literals[one] for one in positions)
        picked._source_lengths = array("I", [self._source_lengths[one] for one in positions])
        picked._destination_lengths = array("I", [self._destination_lengths[one] for one in positions])
        places = dict.fromkeys(self.pair_of[one] for one in positions)
        picked.pairs = [self.pairs[place] for place in places]
        new = {place: number for number, place in enumerate(places)}
        picked.pair_of = array("I", [new[self.pair_of[one]] for one in positions])
        return picked

    def __len__(self) -> int:
        return len(self.sources)

    @overload
    def __getitem__(self, place: int) -> Transfer: ...
    @overload
    def __getitem__(self, place: slice) -> Transfers: ...
    def __getitem__(self, place: int | slice) -> Transfer | Transfers:
        if isinstance(place, slice):
            return self.pick(range(len(self))[place])
        source, destination = self.sources[place], self.destinations[place]
        from_, to = self.pairs[self.pair_of[place]]
        return Transfer(
            Pfn(source, from_, source[len(source) - self._source_lengths[place] :]),
            Pfn(destination, to, destination[len(destination) - self._destination_lengths[place] :]),
            bool(self.literals[place]),
        )

    def __iter__(self) -> Iterator[Transfer]:
        return map(self.__getitem__, range(len(self)))


def _ends(names: Sequence[bytes], lengths: Sequence[int]) -> list[bytes]:
    return [name[-length:] for name, length in zip(names, lengths, strict=True)]
