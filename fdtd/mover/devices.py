"""How many files of one device are read, or written, at the same time.

Decides when a file may be begun: disks that turn and tapes behind a disk cache serve few files at once well and many
badly, and one job may reach several of them.  A file that was begun may be sent by any number of streams; without a
bound nothing is counted.  The reader keeps to both bounds, its own and the one that the writer has told for each file:
who receives cannot choose what comes.

Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, NamedTuple


class Place(NamedTuple):
    """Between which devices a file travels; `writers`: files that are written on `target` at a time, 0: any number."""

    source: int = 0
    target: int = 0
    writers: int = 0


ANYWHERE: Final = Place()


class Devices:
    """Who is reading and writing where; files are known by number, a batch by one of its own below 0."""

    def __init__(self, readers: int = 0) -> None:
        """`readers`: files of one source device that are read at a time, 0: any number."""
        self._readers = readers
        self.is_bounded = readers > 0
        self._places: dict[int, Place] = {}
        self._reading: dict[int, set[int]] = {}
        self._writing: dict[int, set[int]] = {}

    def add(self, file: int, place: Place) -> Place:
        """Take on a file; return the place that it waits at."""
        if not self._readers and not place.writers:
            return ANYWHERE
        self.is_bounded = True
        self._places[file] = place
        return place

    def place_of(self, file: int) -> Place:
        """Return where it waits."""
        return self._places.get(file, ANYWHERE)

    def has_room(self, place: Place) -> bool:
        """Whether another file may be begun there."""
        return self._may_read(place) and self._may_write(place)

    def begin(self, file: int, place: Place) -> bool:
        """Begin a file, or go on with it; False if it has to wait."""
        reading = self._reading.setdefault(place.source, set())
        writing = self._writing.setdefault(place.target, set())
        if not ((file in reading or self._may_read(place)) and (file in writing or self._may_write(place))):
            return False
        reading.add(file)
        writing.add(file)
        return True

    def note_read(self, file: int, place: Place) -> None:
        """Note that all of it has been read, and may still have to be written."""
        self._reading.get(place.source, set()).discard(file)

    def note_over(self, file: int, place: Place) -> None:
        """Note that nothing more of it will be read or written."""
        self.note_read(file, place)
        self._writing.get(place.target, set()).discard(file)

    def _may_read(self, place: Place) -> bool:
        return not self._readers or len(self._reading.get(place.source, ())) < self._readers

    def _may_write(self, place: Place) -> bool:
        return not place.writers or len(self._writing.get(place.target, ())) < place.writers


class Waiting:
    """Files that no stream has begun: in their order, but those whose devices are busy are passed over."""

    def __init__(self) -> None:
        self._lanes: dict[Place, deque[int]] = {ANYWHERE: deque()}

    def __bool__(self) -> bool:
        return any(self._lanes.values())

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self._lanes.values())

    def append(self, file: int, place: Place) -> None:
        """Put a file at the end."""
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = deque()
        lane.append(file)

    def extend(self, files: Iterable[int]) -> None:
        """Put files at the end whose devices do not matter."""
        self._lanes[ANYWHERE].extend(files)

    def put_back(self, files: Iterable[int], place: Place) -> None:
        """Put files of one place to the front again."""
        self._lanes[place].extendleft(reversed(list(files)))

    def next_lane(self, devices: Devices) -> tuple[deque[int], Place] | None:
        """Return files of one place where one may be begun."""
        for place, lane in self._lanes.items():
            if lane and (not devices.is_bounded or devices.has_room(place)):
                return lane, place
        return None
