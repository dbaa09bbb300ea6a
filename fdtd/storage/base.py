"""What the mover needs of a storage back end.

Decides the interface; a back end decides how.  The conformance suite is tests/contract/.  Errors are the classes of
`fdtcp.errors` (SourceMissing, DestinationFull, ...), never bare OSErrors: a back end knows best what an error of its
own means to the user.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from contextlib import AbstractContextManager
from typing import Final, Protocol

from fdtcp.errors import FdtError
from fdtcp.model.order import Direct
from fdtcp.value import dataclass


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a file; `identity` differs between files that exist at the same time."""

    size: int
    mtime_ns: int
    ctime_ns: int
    mode: int  # permission bits only
    identity: tuple[int, int] = (0, 0)


class Source(Protocol):
    """A file that is open for reading; used by several threads at once."""

    @property
    def descriptor(self) -> int:
        """What sendfile can read from; -1 when everything has to go through `read_into`."""

    def read_into(self, view: memoryview, offset: int) -> int:
        """Fill `view` from `offset` and return the bytes read, less only at the end.  Raises SourceFailed."""

    def passed(self, offset: int, length: int) -> None:
        """Hear that a part has been sent: it will hardly be read again."""

    def facts(self) -> Facts:
        """Look again.  Raises SourceFailed."""

    def close(self) -> None:
        """Give the descriptor back; once."""


# What a look at a file has found before it is read: size, mtime_ns, ctime_ns, permission bits, device.
Look = tuple[int, int, int, int, int]

# Times that can be told: nanoseconds in 64 bits, from the year 1677 to 2262.  File systems know others.
TELLABLE_NS: Final = range(-(1 << 63), 1 << 63)

# What a look at it has found afterwards: size, mtime_ns, ctime_ns.
Seen = tuple[int, int, int]


class Reading(Protocol):
    """Files that are looked at, or small ones that are read whole, one behind the other."""

    def look(self, path: bytes) -> Look | None:
        """Look at a file that may be read; None if it takes an `open` to find out, as for whatever is not plain."""

    def read(self, path: bytes, view: memoryview) -> Seen | None:
        """Fill `view` with a file and look at it afterwards; None if that has to be done as for any other, by `open`.

        Whether it is as long as `view`, and what it was before, is the caller's to compare.
        """

    def close(self) -> None:
        """Give back what is open; once."""


class Sources(Protocol):
    """The reading half of a back end."""

    def open(self, path: bytes) -> Source:
        """Open a regular file.  Raises SourceMissing, SourceUnreadable, SourceNotAFile, PathRefused, SourceFailed."""

    def reading(self) -> Reading | None:
        """Return a way to read many small files; None where there is none but `open`."""

    def close(self) -> None:
        """Give back what is cached."""


class Volume(Protocol):
    """What becomes safe by one sync: for files on a disk, its file system."""

    @property
    def is_shared(self) -> bool:
        """Whether one sync makes all files there safe; else each of them takes a time of its own."""

    def sync(self) -> None:
        """Make safe all that was written and named on it.  Raises DestinationFull, DestinationFailed; never retried."""


@dataclass(frozen=True, slots=True)
class Site:
    """What is found at a destination before anything is written."""

    existing: Facts | None
    device: int
    free: int  # bytes that the account may still write there
    bare: bool = False  # no earlier attempt has left anything there
    window: int = 0  # it takes bytes in order only: how far blocks may run ahead; 0: any order
    gives_back: bool = False  # what was written can be read before it is in place


@dataclass(frozen=True, slots=True)
class Survey:
    """What is found at many destinations of one directory: `site` at each whose name is not among `others`."""

    site: Site
    others: Set[bytes]


class Committable(Protocol):
    """A file at the destination that can be made safe, in the order that `fdtd.mover.commit` decides."""

    @property
    def volume(self) -> Volume:
        """Where it lives; opened before the first byte is written, because errors are reported from then on."""

    @property
    def promise(self) -> str:
        """What "safe" means here, in a few words, where that is not what the sync policy says; else ""."""

    def dress(self, mode: int, mtime_ns: int) -> None:
        """Give the complete file its mode and time.  Raises DestinationFailed."""

    def sync(self) -> None:
        """Make bytes, mode and time safe.  Raises DestinationFull, DestinationFailed."""

    def publish(self, *, replace: bool) -> None:
        """Put it in place.  Raises DestinationVanished, DestinationExists, DestinationFailed."""

    def sync_name(self) -> None:
        """Make its name safe, and those of directories made for it.  Raises DestinationFailed."""

    def check_place(self, seen: dict[object, bool]) -> None:
        """Check, when its name is safe, that its path leads to it.  Raises DestinationVanished.

        `seen`: what was found of directories for others, as each of them is looked at once.
        """

    def settle(self) -> None:
        """Note that everything about it is safe."""

    def retract(self) -> None:
        """Remove it again after it was put in place, because that could not be made safe."""

    def remove(self) -> None:
        """Remove what is there under temporary names."""

    def close(self) -> None:
        """Give back descriptor and claim; once."""


class Existing(Committable, Protocol):
    """A file that was at the destination before: it is read, and when it is the same it is made safe, not changed."""

    def read_into(self, view: memoryview, offset: int) -> int:
        """Fill `view` from `offset` and return the bytes read, less only at the end.  Raises DestinationFailed."""

    def facts(self) -> Facts:
        """Look at it.  Raises DestinationFailed."""


class Partial(Committable, Protocol):
    """A destination that is being written under its temporary name, and claimed until it is closed."""

    @property
    def descriptor(self) -> int:
        """What splice can write to; -1 when everything has to go through `write`."""

    @property
    def path(self) -> bytes:
        """The temporary name, absolute."""

    @property
    def turn(self) -> AbstractContextManager[object] | None:
        """Hold it to write: where a file takes one write at a time, who waits should sleep, not spin; else None."""

    @property
    def is_resumable(self) -> bool:
        """Whether a later attempt can go on from what is safe in it: it keeps a journal."""

    @property
    def direct_bytes(self) -> int:
        """Not 0: it is written past the page cache, by writes of that length from memory that begins with a page."""

    def reserve(self, size: int, direct: Direct) -> None:
        """Hear, before the first byte, how long the file will be; what has no room for it should refuse now.

        Raises DestinationFull, DestinationFailed.
        """

    def cut(self, size: int) -> None:
        """Give back what was reserved behind the first `size` bytes: it is kept for a later attempt, whenever."""

    def write(self, view: memoryview, offset: int) -> None:
        """Write all of `view`.  Raises DestinationFull, DestinationFailed."""

    def accept(self, offset: int, length: int, size: int) -> None:
        """Take a block whose checksum was right, after its bytes were written; before that they may come again.

        `size` is the whole file's: a storage that takes bytes in order sends all it holds when it has the last one, so
        that what waits for its commit takes no memory.
        Raises DestinationFull, DestinationFailed.
        """

    def sync_data(self) -> None:
        """Make the bytes written so far safe (not the name).  Raises DestinationFull, DestinationFailed."""

    def drop_cached(self, offset: int, length: int) -> None:
        """Let the next read of a part that is safe come from its disk."""

    def read_back(self, view: memoryview, offset: int) -> int:
        """Fill `view` with what was written; returns how much there is, 0 at the end.  Raises DestinationFailed."""

    def read_journal(self) -> bytes:
        """Return what was appended to its journal in all attempts, b"" if nothing was."""

    def append_journal(self, data: bytes) -> None:
        """Append to its journal and make that safe.  Raises DestinationFull, DestinationFailed."""

    def facts(self) -> Facts:
        """Look at it.  Raises DestinationFailed."""


class Bundle(Protocol):
    """Small files of one volume that are written whole, and made safe together.

    None of them has a name before it is published, so nothing is left of them whenever the program ends, and nobody
    else can have touched them.
    """

    @property
    def volume(self) -> Volume:
        """Where they live; to be asked only after a file was written."""

    def write(self, path: bytes, mode: int, mtime_ns: int, content: memoryview) -> bool:
        """Write a whole file with mode and time; False if that has to be done as for any other file, by `claim`.

        Its number in `publish` and `retract` is how many were written before it.
        """

    def drop(self, number: int) -> None:
        """Forget one file."""

    def publish(self) -> dict[int, FdtError]:
        """Put all in place where nothing is yet; returns what failed: DestinationExists, DestinationFailed, ..."""

    def take_misplaced(self, seen: dict[object, bool]) -> dict[int, FdtError]:
        """Take away again those to which their paths do not lead, and return them; as `Committable.check_place`."""

    def settle(self) -> None:
        """Note that everything about them is safe."""

    def retract(self) -> None:
        """Remove them again after they were put in place, because that could not be made safe."""

    def close(self) -> None:
        """Give back what is open; once."""


class Destinations(Protocol):
    """The writing half of a back end."""

    def look(self, path: bytes) -> Site:
        """Look at a destination; creates nothing.

        Raises DestinationBlocked, DestinationUnwritable, DestinationBusy, DestinationFailed, PathRefused.
        """

    def survey(self, above: bytes, names: Sequence[bytes]) -> Survey | None:
        """Look at many destinations of the directory `above`, sparing those of which nothing is there.

        What it says may be a second old, so it is for files that are put in place only where nothing is, and of which
        nothing is ever kept.  None, as for `others`: they have to be looked at one by one.
        """

    def open_existing(self, path: bytes) -> Existing:
        """Open what exists, to compare it.  Raises DestinationExists (it cannot be read) and what `look` raises."""

    def claim(self, path: bytes, mode: int, *, journal: bool) -> Partial:
        """Make an empty partial, with its directories, and claim it; a stale unclaimed one is started over.

        `journal`: it may get one, so a stale journal must be removed now.
        Raises DestinationBusy and what `look` raises.
        """

    def claim_left(self, path: bytes) -> Partial | None:
        """Claim what an earlier attempt left, as it is; None if there is nothing.  Raises as `claim`."""

    def bundle(self) -> Bundle | None:
        """Return an empty bundle; None where files cannot be written without a name."""

    def close(self) -> None:
        """Give back what is cached."""
