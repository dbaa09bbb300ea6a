"""What is to be done for each file, before a byte of it moves.

Decides send, compare, skip or a problem, from what is at the destination and what the policy says; continues what an
earlier attempt left, if that belongs to the same source.  Creates nothing; what an earlier attempt left and nobody can
continue is removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from fdtcp.errors import DestinationExists, DestinationFull, FdtError, OptionRefused, Phase, ResumeRefused, Side
from fdtcp.model.columns import Columns
from fdtcp.model.order import (
    Action,
    Checksum,
    DestinationFile,
    Extent,
    OnExists,
    Policy,
    Resume,
    SameBy,
    Verdict,
    Verify,
)
from fdtcp.units import format_size
from fdtcp.value import dataclass
from fdtd.mover.frames import SMALL_FILE_BYTES
from fdtd.mover.hangs import Hangs
from fdtd.mover.journal import Identity, decode_journal, merge
from fdtd.mover.sums import sum_of
from fdtd.storage.base import Destinations, Facts, Partial, Site, Survey

# Directories and metadata take space too; a file system filled to its last block is nobody's friend.
_SPARE_BYTES: Final = 1 << 20

# What a message can carry; the number of a device says nothing to others but that it is another one's.
_DEVICE_BITS: Final = (1 << 62) - 1


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict, and the partial that is continued."""

    verdict: Verdict
    partial: Partial | None = None


class Preflight:
    """Decides file by file, but for plain ones, and remembers how much space it has promised on each device."""

    def __init__(self, policy: Policy, destinations: Destinations, hangs: Hangs | None = None) -> None:
        """`hangs` is told what is on which device, and says which of them is not to be written to any more."""
        self._policy = policy
        self._destinations = destinations
        self._hangs = hangs or Hangs()
        # Bytes of each device that have not been promised.  Whoever relieves a thread that hangs goes on with a copy:
        # what that thread promises when it comes back is promised to nobody.
        self.room: dict[int, int] = {}

    def plain(
        self, files: Columns[DestinationFile], may_look: Callable[[bytes], bool] = lambda _above: True
    ) -> list[int]:
        """Return the places of those that are small, of which nothing is there, and which have room: to be sent.

        They are most of the files of large jobs, and have nothing to be decided one by one.  `may_look` is asked before
        each directory.
        """
        if self._policy.resume is Resume.REQUIRE or self._policy.writers:
            return []  # what is kept, and the device of each file, only a look can tell
        room, sizes = self.room, files.numbers("size")
        are_small = max(sizes, default=0) <= SMALL_FILE_BYTES
        plain: list[int] = []
        for above, places, names in _by_directory(files):
            survey = self._survey(above, names) if may_look(above) else None
            if survey is None:
                continue
            chosen = places
            if (others := survey.others) or not are_small:
                placed = zip(places, names, strict=True)
                chosen = [p for p, name in placed if name not in others and sizes[p] <= SMALL_FILE_BYTES]
            if _has_room(room, survey.site, sum(map(sizes.__getitem__, chosen))):
                plain += chosen
        return plain

    def _survey(self, above: bytes, names: Sequence[bytes]) -> Survey | None:
        try:
            survey = self._destinations.survey(above, names)
        except FdtError:
            return None  # which file of them that fails, and why, is said when it is looked at
        if survey is not None:
            self._hangs.note_site(above, survey.site.device)
            if self._hangs.error_in(above) is not None:
                return None
        if survey is not None and self._policy.verify is Verify.DISK and not survey.site.gives_back:
            return None
        return survey

    def decide(self, file: DestinationFile) -> Decision:
        """Decide on one file; never raises for what is wrong with it."""
        try:
            return self._decide(file)
        except FdtError as exc:
            problem = exc.problem(Side.DESTINATION, Phase.PREFLIGHT)
            return Decision(Verdict(file.index, Action.SKIP, problem=problem))

    def _decide(self, file: DestinationFile) -> Decision:
        room = self.room
        site = self._destinations.look(file.path)
        self._hangs.note_site(file.path.rpartition(b"/")[0], site.device)
        if (hang := self._hangs.error_of(file.path)) is not None:
            raise hang  # what answers a look may hang in a write all the same, and each would cost a stream's thread
        if self._policy.verify is Verify.DISK and not site.gives_back:
            raise OptionRefused(f"the storage of {os.fsdecode(file.path)} does not give back what was written to it")
        action = Action.SEND if site.existing is None else self._action_for_existing(file, site.existing)
        if action is not Action.SEND:
            return Decision(Verdict(file.index, action))
        partial, kept = (None, ()) if site.bare else self._left(file)
        try:
            _promise(room, file, site, sum(extent.length for extent in kept))
        except FdtError:
            if partial is not None:
                partial.close()  # what is safe in it stays for when there is room
            raise
        writers = self._policy.writers
        device = site.device & _DEVICE_BITS if writers else 0
        return Decision(Verdict(file.index, Action.SEND, kept, None, site.window, device, writers), partial)

    def _action_for_existing(self, file: DestinationFile, existing: Facts) -> Action:
        name, policy, same_by = os.fsdecode(file.path), self._policy.on_exists, self._policy.same_by
        if policy is OnExists.OVERWRITE:
            return Action.SEND
        if policy is OnExists.FAIL:
            raise DestinationExists(f"{name} exists")
        difference = ""
        if existing.size != file.size:
            difference = f"{existing.size} bytes, the source has {file.size}"
        elif same_by is SameBy.TIME and existing.mtime_ns != file.mtime_ns:
            difference = "as many bytes and another time than the source has"
        if difference and policy is OnExists.UPDATE:
            return Action.SEND
        if difference:
            raise DestinationExists(f"{name} exists with {difference}")
        return Action.COMPARE if same_by is SameBy.CHECKSUM else Action.SKIP

    def _left(self, file: DestinationFile) -> tuple[Partial | None, tuple[Extent, ...]]:
        """Claim what an earlier attempt left, if it can be continued."""
        partial = self._destinations.claim_left(file.path)
        if partial is None:
            return None, ()
        try:
            kept = () if self._policy.resume is Resume.NEVER else self._kept(file, partial)
            if not kept and self._policy.resume is Resume.REQUIRE:
                _check_worthless(file, partial)
        except FdtError:
            partial.close()
            raise
        if kept:
            return partial, kept
        partial.remove()
        partial.close()
        return None, ()

    def _kept(self, file: DestinationFile, partial: Partial) -> tuple[Extent, ...]:
        if file.size <= SMALL_FILE_BYTES or self._policy.checksum is Checksum.NONE:
            return ()  # without sums nothing could tell that the part is one of this source's
        facts = partial.facts()
        identity = Identity.of(file, self._policy.checksum, facts.identity[1])
        extents = decode_journal(partial.read_journal(), identity)
        within = [extent for extent in extents if extent.offset + extent.length <= facts.size]
        return merge(within, sum_of(self._policy.checksum))


def _promise(room: dict[int, int], file: DestinationFile, site: Site, kept: int) -> None:
    """Count the file against the free space that was seen first: later figures contain what we wrote ourselves."""
    needed = file.size - kept
    if not _has_room(room, site, needed):
        left = format_size(max(room[site.device], 0))
        raise DestinationFull(
            f"{os.fsdecode(file.path)} needs {format_size(needed)} and {left} are left after the files before it"
        )


def _has_room(room: dict[int, int], site: Site, needed: int) -> bool:
    """Promise so many bytes, if there is room for them; what needs none has room anywhere."""
    left = room.setdefault(site.device, site.free - _SPARE_BYTES)
    if needed > max(left, 0):
        return False
    room[site.device] = left - needed
    return True


def _by_directory(files: Columns[DestinationFile]) -> Iterable[tuple[bytes, Sequence[int], list[bytes]]]:
    """Return what stands before the last slash of paths, and the places and the names of those of which it does."""
    if not files:
        return ()
    paths = files.raw("path")
    above = paths[: paths.index(b"\0")].rpartition(b"/")[0]
    start = above + b"/"
    # Nearly all files of a chunk are in the directory of the first: then their names are cut out together.
    if paths.count(b"\0" + start) == len(files) - 1 and paths.count(b"/") == len(files) * start.count(b"/"):
        names = paths.replace(b"\0" + start, b"\0")[len(start) : -1].split(b"\0")
        return ((above, range(len(files)), names),)
    groups: dict[bytes, tuple[bytes, list[int], list[bytes]]] = {}
    for place, path in enumerate(files.names("path")):
        above, _, name = path.rpartition(b"/")
        _, places, names = groups.setdefault(above, (above, [], []))
        places.append(place)
        names.append(name)
    return groups.values()


def _check_worthless(file: DestinationFile, partial: Partial) -> None:
    """Refuse to lose what is safe in a partial, whatever it is a part of.  Raises ResumeRefused."""
    size = partial.facts().size
    extents = decode_journal(partial.read_journal(), None)
    safe = sum(extent.length for extent in extents if extent.offset + extent.length <= size)
    if safe:
        raise ResumeRefused(
            f"{format_size(safe)} of {os.fsdecode(file.path)} are safe from an earlier attempt, of another source, "
            "another state of it or with another checksum"
        )
