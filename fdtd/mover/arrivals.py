"""The files that a writer was told to expect, in as little memory as each needs.

Decides which of them are *plain*: small files that nobody has ever sent a part of.  A job may have a million of them,
and as long as all goes well there is nothing to be known of one but where it is: expected, in the hands of a stream
that writes it, or settled, which is the committer's or done.  Whatever else happens to a file (damage, a block, an
abort) makes an `Arrival` of it, with all that may have to be remembered, and its stream finds that it has lost it.

Pure and not thread-safe, as the receiver.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from fdtcp.model.order import DestinationFile
from fdtd.mover.arrival import Arrival
from fdtd.mover.frames import Entry

Make = Callable[[DestinationFile], Arrival]


class Arrivals(dict[int, Arrival]):
    """By index; asking for a plain file makes an Arrival of it."""

    def __init__(self, make: Make) -> None:
        super().__init__()
        self._make = make
        self._expected: dict[int, DestinationFile] = {}
        self._taken: dict[int, DestinationFile] = {}
        self._settled: dict[int, int] = {}  # with their sizes

    def __missing__(self, file: int) -> Arrival:
        plain = self._expected.pop(file, None) or self._taken.pop(file, None)
        if plain is not None:
            self[file] = self._make(plain)
            return self[file]
        size = self._settled[file]
        # It is for good: nobody remembers what is done to this one.
        gone = self._make(DestinationFile(file, b"", size, 0, 0, b""))
        gone.settle()
        return gone

    def known(self, files: Collection[int]) -> int | None:
        """Return one of these files that is expected, or was; None if none of them is."""
        places = self.keys(), self._expected.keys(), self._taken.keys(), self._settled.keys()
        return next((min(place & set(files)) for place in places if not place.isdisjoint(files)), None)

    def path(self, file: int) -> bytes:
        """Return where a file that is not settled shall be, and leave it as it is."""
        known = self.get(file)
        plain = known.file if known is not None else self._expected.get(file) or self._taken.get(file)
        return plain.path if plain is not None else b"a file"

    def expect_plain(self, files: Mapping[int, DestinationFile]) -> None:
        """Expect small files, by index, of which nothing is there."""
        self._expected |= files

    def is_taken(self, entries: Sequence[Entry]) -> bool:
        """Whether any of these plain files is in the hands of a stream."""
        taken = self._taken
        return bool(taken) and any(entry[0] in taken for entry in entries)

    def take(self, file: int, size: int) -> DestinationFile | None:
        """Give a plain file into the hands of a stream; None if it is none, or has another size."""
        plain = self._expected.get(file)
        if plain is None or plain.size != size:
            return None
        del self._expected[file]
        self._taken[file] = plain
        return plain

    def give_back(self, file: DestinationFile) -> None:
        """Take a plain file back from a stream that did not write it."""
        if self._taken.pop(file.index, None) is not None:
            self._expected[file.index] = file

    def settle(self, file: int) -> bool:
        """Take a file that was written and verified from a stream; False if it has lost it meanwhile."""
        plain = self._taken.pop(file, None)
        if plain is None:
            return False
        self._settled[file] = plain.size
        return True

    def unsettle(self, file: DestinationFile) -> Arrival:
        """Return what is to be remembered of a settled file after all: it has failed."""
        del self._settled[file.index]
        arrival = self[file.index] = self._make(file)
        arrival.settle()
        return arrival

    def remember(self, is_meant: Callable[[DestinationFile], bool]) -> None:
        """Make Arrivals of those plain files that are meant and not settled."""
        for file in [*self._expected.values(), *self._taken.values()]:
            if is_meant(file):
                self[file.index]  # asking is what does it
