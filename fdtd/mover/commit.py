"""From verified to safe: the order of the steps, which is goal number one.

Decides when a file may be called done: its bytes, mode and time are safe before its name is, its name is in place and
safe before the outcome is said.

    dress (mode, time)  ->  sync  ->  publish (rename)  ->  sync names  ->  look at the directory  ->  outcome

Small files come in sheaves, which have their modes and times from the start, and go through the same steps together.

The look is one for each directory of an epoch: files go to a directory that was opened before, and whoever moved it
away meanwhile, and put another one in its place, moved them with it.

With `batch` both syncs are those of the whole file system, once for all files of an epoch; with `file` each file and
directory is synced by itself; with `none` neither happens, and the report says so.  A sync that fails is never tried
again: the kernel reports a lost write once and then believes itself.  So every file since the last good sync fails,
and what was put in place in the meantime is taken away again, unless it may have replaced an older file: that one is
gone already, and removing the new one, which is complete and whose bytes were synced, would lose both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from fdtcp.errors import FdtError
from fdtcp.model.order import DestinationFile, Sync
from fdtcp.value import dataclass
from fdtd.storage.base import Bundle, Committable, Volume


@dataclass(frozen=True, slots=True)
class Item:
    """One verified file."""

    file: int
    partial: Committable
    mode: int
    mtime_ns: int
    replace: bool  # an existing destination may be replaced
    is_alone: bool = False  # it is made safe by itself, which takes a time of its own


@dataclass(slots=True)
class Sheaf:
    """Verified small files that were written together; never for `sync=file`, and they replace nothing."""

    bundle: Bundle
    files: dict[int, tuple[DestinationFile, int]] = field(default_factory=dict)  # by number, with checksums
    size: int = 0  # bytes
    error: FdtError | None = None  # of all files
    errors: Mapping[int, FdtError] = field(default_factory=dict)  # of single ones, by number
    published: bool = False
    failed: int = 0  # how many of them, once it has been said


@dataclass(slots=True)
class _Step:
    item: Item
    error: FdtError | None = None
    published: bool = False


Lost = Callable[[Volume, FdtError], None]


def commit(
    items: list[Item],
    sync: Sync,
    on_lost: Lost,
    lost: Mapping[int, FdtError] | None = None,
    sheaves: Sequence[Sheaf] = (),
    check: Callable[[], None] = lambda: None,
) -> list[tuple[Item, FdtError | None]]:
    """Make an epoch of files safe; returns each with its error, those of sheaves are left in them.

    `on_lost` hears of volumes whose sync failed: files on them that are still being written have failed too.  `lost`:
    what syncs have said already, of files that nothing can make safe any more.  `check` is called before each is put
    in place, and may raise.
    """
    lost = lost or {}
    steps = [_Step(item, lost.get(item.file)) for item in items]
    for step in steps:
        _try(step, lambda item: item.partial.dress(item.mode, item.mtime_ns))
    _sync(steps, sheaves, sync, on_lost, lambda item: item.partial.sync())
    _publish(steps, sheaves, check)
    _sync(steps, sheaves, sync, on_lost, lambda item: item.partial.sync_name())
    _check_places(steps, sheaves)
    _end(steps, sheaves)
    return [(step.item, step.error) for step in steps]


def _try(step: _Step, act: Callable[[Item], None]) -> bool:
    """Do one step for a file that is still well; returns whether it was done."""
    if step.error is not None:
        return False
    try:
        act(step.item)
    except FdtError as exc:
        step.error = exc
        return False
    return True


def _publish(steps: list[_Step], sheaves: Sequence[Sheaf], check: Callable[[], None]) -> None:
    for step in steps:
        check()
        step.published = _try(step, lambda item: item.partial.publish(replace=item.replace))
    for sheaf in sheaves:
        check()
        if sheaf.error is None:
            sheaf.errors, sheaf.published = sheaf.bundle.publish(), True


def _check_places(steps: list[_Step], sheaves: Sequence[Sheaf]) -> None:
    seen: dict[object, bool] = {}
    for step in steps:
        _try(step, lambda item: item.partial.check_place(seen))
    for sheaf in sheaves:
        if sheaf.error is None:
            sheaf.errors = {**sheaf.errors, **sheaf.bundle.take_misplaced(seen)}


def _end(steps: list[_Step], sheaves: Sequence[Sheaf]) -> None:
    """Settle what is safe, and take away what is not."""
    for step in steps:
        if step.error is None:
            step.item.partial.settle()
        elif not step.published:
            step.item.partial.remove()
        elif not step.item.replace:
            step.item.partial.retract()
    for sheaf in sheaves:
        if sheaf.error is None:
            sheaf.bundle.settle()
        elif sheaf.published:
            sheaf.bundle.retract()


def _sync(
    steps: list[_Step], sheaves: Sequence[Sheaf], sync: Sync, on_lost: Lost, sync_one: Callable[[Item], None]
) -> None:
    """Make safe what was done so far, in the way that the policy says."""
    if sync is Sync.NONE:
        return
    if sync is Sync.FILE:
        for step in steps:
            _try(step, sync_one)
        return
    volumes = {id(step.item.partial.volume): step.item.partial.volume for step in steps if step.error is None}
    volumes |= {id(sheaf.bundle.volume): sheaf.bundle.volume for sheaf in sheaves if sheaf.error is None}
    for volume in volumes.values():
        try:
            volume.sync()
        except FdtError as exc:
            for step in steps:
                if step.item.partial.volume is volume and step.error is None:
                    step.error = exc
            for sheaf in sheaves:
                if sheaf.bundle.volume is volume and sheaf.error is None:
                    sheaf.error = exc
            on_lost(volume, exc)
