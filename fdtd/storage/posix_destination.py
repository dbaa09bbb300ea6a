"""Writing files of a POSIX file system: looking first, claiming, and what ended attempts left.

Decides what stands in the way of a destination and how it is claimed.  Nothing follows a symlink: below the prefix a
symlink is somebody else's decision about where our bytes go.  What happens to a claimed file is `posix_partial`'s.
"""

from __future__ import annotations

import fcntl
import os
import stat
import threading
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from fdtcp.errors import (
    DestinationBlocked,
    DestinationBusy,
    DestinationExists,
    DestinationFailed,
    DestinationUnwritable,
    PathRefused,
)
from fdtd.storage.base import Site, Survey
from fdtd.storage.listing import SURVEY_S, Listing
from fdtd.storage.names import NAME_MAX, is_temporary, journal_of_partial, partial_name
from fdtd.storage.paths import Directories, Directory, Prefixes
from fdtd.storage.posix_bundle import PosixBundle
from fdtd.storage.posix_errors import destination_error
from fdtd.storage.posix_existing import PosixExisting
from fdtd.storage.posix_partial import PosixPartial
from fdtd.storage.posix_source import facts_of, kind_of
from fdtd.storage.posix_volume import FileSystem

_OPEN_PARTIAL: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_OPEN_EXISTING: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_MODE_OF_PARTIALS: Final = 0o600

# What a path may end in without naming a file.
_NO_NAMES: Final = frozenset({b"", b".", b".."})

# As many directories as the files of one order can be in.
_MOST_BARE: Final = 1000

# Whoever holds the partial may commit it between our open and our lock; each turn means somebody made progress.
_CLAIM_ATTEMPTS: Final = 10


class DirectoryVanished(Exception):
    """A directory was removed while it was open here."""


class PosixDestinations:
    """Files beneath prefixes."""

    def __init__(self, prefixes: Prefixes, new_mode: int = 0o755) -> None:
        self._directories = Directories(prefixes, new_mode)
        self._lock = threading.Lock()
        self._volumes: dict[int, FileSystem] = {}
        # Directories that are not there yet: until when that is believed, and what is known of their files.
        self._bare: dict[bytes, tuple[float, Site]] = {}
        self._listings: dict[Listing, None] = {}  # those that may have names

    def look(self, path: bytes) -> Site:
        """Look at a destination; see `fdtd.storage.base.Destinations`."""
        directory_path, _, name = path.rpartition(b"/")
        if is_temporary(name):
            # Else the transfer of another file would take it for what its last attempt has left.
            raise PathRefused(f"{os.fsdecode(path)} is a temporary file's name", remedy="choose another name")
        found = self._find(directory_path, path)
        if isinstance(found, Site):
            return found
        directory, name = found
        try:
            return _look_in(directory, name, path)
        except OSError as exc:
            raise destination_error(path, exc) from exc
        finally:
            self._directories.release(directory)

    def survey(self, above: bytes, names: Sequence[bytes]) -> Survey | None:
        """Look at many destinations of a directory; see `fdtd.storage.base.Destinations`."""
        path = above + b"/any"
        found = self._find(above, path)
        odd = _odd(names)
        if isinstance(found, Site):
            return Survey(found, odd)
        directory, _ = found
        try:
            site = Site(None, directory.device, _survey(directory, path), bare=True, gives_back=True)
            taken = directory.listing.taken(directory.descriptor, len(names))
            self._forget_old(directory.listing)
            return None if taken is None else Survey(site, odd.union(taken.intersection(names)))
        except OSError as exc:
            raise destination_error(path, exc) from exc
        finally:
            self._directories.release(directory)

    def _forget_old(self, fresh: Listing) -> None:
        """Give back the memory of directories that nobody asks for any more: it may be 15 MB for each.

        Two are looked at for each that comes, so all of them are, by and by.
        """
        self._listings[fresh] = None
        for listing in list(islice(self._listings, 2)):
            del self._listings[listing]
            if not listing.drop_if_old():
                self._listings[listing] = None  # behind the others

    def _find(self, above: bytes, path: bytes) -> tuple[Directory, bytes] | Site:
        """Return the directory of `path`, to be given back, and the name in it; if it is missing, what that means.

        That is asked once a second, not for each of thousands of files.
        """
        if (seen := self._bare.get(above)) is not None and time.monotonic() < seen[0]:
            return seen[1]
        try:
            return self._directories.parent_of(path)
        except FileNotFoundError:
            site = self._look_above(path)
            if len(self._bare) >= _MOST_BARE:
                self._bare.clear()
            self._bare[above] = (time.monotonic() + SURVEY_S, site)
            return site
        except OSError as exc:
            raise destination_error(path, exc) from exc

    def _look_above(self, path: bytes) -> Site:
        try:
            directory = self._directories.nearest_above(path)
        except OSError as exc:
            raise destination_error(path, exc) from exc
        try:
            return Site(None, directory.device, _survey(directory, path), bare=True, gives_back=True)
        except OSError as exc:
            raise destination_error(path, exc) from exc
        finally:
            self._directories.release(directory)

    def open_existing(self, path: bytes) -> PosixExisting:
        """Open what exists, to compare it."""
        try:
            directory, name = self._directories.parent_of(path)
        except OSError as exc:
            raise destination_error(path, exc) from exc
        try:
            volume = self._volume(directory)
            descriptor = os.open(name, _OPEN_EXISTING, dir_fd=directory.descriptor)
            return PosixExisting(descriptor, volume, self._directories, directory, path)
        except OSError as exc:
            self._directories.release(directory)
            if isinstance(exc, PermissionError):
                raise DestinationExists(f"{os.fsdecode(path)} exists and may not be read to compare it") from exc
            raise destination_error(path, exc) from exc

    def claim(self, path: bytes, mode: int, *, journal: bool) -> PosixPartial:
        """Make an empty partial and claim it."""
        partial = self._claim(path, mode & 0o777, start_over=True)  # another host has said it: it may be any number
        assert partial is not None, "a partial that may be made is there"
        if journal:
            partial.forget_stale_journal()
        return partial

    def claim_left(self, path: bytes) -> PosixPartial | None:
        """Claim what an earlier attempt left, as it is; None if there is nothing.  Raises as `claim`."""
        return self._claim(path, 0, start_over=False)

    def bundle(self, takes: Callable[[bytes], bool] = lambda _path: True) -> PosixBundle:
        """Return an empty bundle; `takes`: which paths are ours at all."""
        return PosixBundle(self._directories, self._volume, takes)

    def close(self) -> None:
        """Close cached directories and volumes."""
        self._directories.close()
        for volume in self._volumes.values():
            volume.close()
        self._volumes.clear()

    def _claim(self, path: bytes, mode: int, *, start_over: bool) -> PosixPartial | None:
        try:
            return self._claim_in(path, mode, start_over)
        except DirectoryVanished:
            # It was removed while it was open here; it is found, or made, anew.
            return self._claim_in(path, mode, start_over)

    def _claim_in(self, path: bytes, mode: int, start_over: bool) -> PosixPartial | None:
        if self._bare:
            self._bare.pop(path.rpartition(b"/")[0], None)  # it is about to be made
        try:
            directory, name = self._directories.parent_of(path, make=start_over)
        except FileNotFoundError as exc:
            if not start_over:
                return None
            raise destination_error(path, exc) from exc
        except OSError as exc:
            raise destination_error(path, exc) from exc
        descriptor = -1
        temporary = partial_name(name)
        try:
            volume = self._volume(directory)
            directory.listing.add(name)  # whoever asks for it again has to look
            descriptor = _open_claimed(directory, temporary, mode, start_over, path)
            if descriptor < 0:
                # A journal without its partial says nothing.
                _remove_quietly(directory, journal_of_partial(temporary))
                self._directories.release(directory)
                return None
            return PosixPartial(descriptor, volume, self._directories, directory, path, temporary)
        except BaseException as exc:
            if isinstance(exc, DirectoryVanished):
                self._directories.forget(directory)
            if descriptor >= 0:
                os.close(descriptor)
            self._directories.release(directory)
            if isinstance(exc, OSError):
                raise destination_error(path, exc) from exc
            raise

    def _volume(self, directory: Directory) -> FileSystem:
        if (volume := self._volumes.get(directory.device)) is not None:
            volume.check()  # after that nothing that is written there could be called safe
            return volume
        with self._lock:
            if (volume := self._volumes.get(directory.device)) is None:
                volume = FileSystem(directory)
                self._volumes[directory.device] = volume
            return volume


def _open_claimed(directory: Directory, name: bytes, mode: int, start_over: bool, path: bytes) -> int:
    """Open and lock the partial `name`; -1 if there is none and none is wanted."""
    for _ in range(_CLAIM_ATTEMPTS):
        made = False
        try:
            if not start_over:
                descriptor = _open_left(directory, name, path)
            else:
                try:
                    flags = _OPEN_PARTIAL | os.O_CREAT | os.O_EXCL
                    descriptor = os.open(name, flags, mode, dir_fd=directory.descriptor)
                    made = True
                except FileExistsError:
                    descriptor = _open_left(directory, name, path)
        except FileNotFoundError:
            if not start_over:
                return -1
            if os.fstat(directory.descriptor).st_nlink == 0:
                raise DirectoryVanished from None
            continue  # its owner committed it just now
        try:
            if _lock_if_ours(descriptor, directory, name, path, made):
                if start_over and not made:
                    # Its journal first: it must not outlive the bytes that it vouches for.
                    _remove_quietly(directory, journal_of_partial(name))
                    os.ftruncate(descriptor, 0)
                    os.fchmod(descriptor, mode)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise DestinationBusy(f"{os.fsdecode(path)} is being written by another transfer")


def _open_left(directory: Directory, name: bytes, path: bytes) -> int:
    """Open a partial that exists, also one that was killed between getting its mode and its final name."""
    try:
        return os.open(name, _OPEN_PARTIAL, dir_fd=directory.descriptor)
    except PermissionError:
        _make_writable(directory, name, path)
    return os.open(name, _OPEN_PARTIAL, dir_fd=directory.descriptor)


def _make_writable(directory: Directory, name: bytes, path: bytes) -> None:
    """Take back the mode of a partial of ours that nobody holds.

    One that is held is about to get its final name, and shall have its mode then.
    """
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory.descriptor)
    try:
        status = os.fstat(handle)
        _check_ours(status, name, path)
        itself = f"/proc/self/fd/{handle}"
        mode = stat.S_IMODE(status.st_mode)
        if not mode & stat.S_IRUSR:
            os.chmod(itself, mode | stat.S_IRUSR)  # a lock needs an open file
        reader = os.open(itself, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            fcntl.flock(reader, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mode = _MODE_OF_PARTIALS
        except BlockingIOError as exc:
            raise DestinationBusy(f"{os.fsdecode(path)} is being written by another transfer") from exc
        finally:
            os.fchmod(reader, mode)
            os.close(reader)
    finally:
        os.close(handle)


def _lock_if_ours(descriptor: int, directory: Directory, name: bytes, path: bytes, made: bool) -> bool:
    """Lock; False if the name has moved on meanwhile, so that what we hold is no partial any more."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise DestinationBusy(f"{os.fsdecode(path)} is being written by another transfer") from exc
    if made:
        return True
    held = os.fstat(descriptor)
    try:
        named = os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if (held.st_dev, held.st_ino) != (named.st_dev, named.st_ino):
        return False
    _check_ours(held, name, path)
    return True


def _check_ours(held: os.stat_result, name: bytes, path: bytes) -> None:
    # In a directory that others can write to, the name may be a trap: a link to a file that only we may change.
    if not stat.S_ISREG(held.st_mode) or held.st_nlink != 1 or held.st_uid != os.geteuid():
        raise DestinationBlocked(f"{os.fsdecode(name)} beside {os.fsdecode(path)} is not a partial of ours")


def _remove_quietly(directory: Directory, name: bytes) -> None:
    try:
        os.unlink(name, dir_fd=directory.descriptor)
    except FileNotFoundError:
        pass  # most partials have none


def _look_in(directory: Directory, name: bytes, path: bytes) -> Site:
    free = _survey(directory, path)
    try:
        status = os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return Site(None, directory.device, free, gives_back=True)
    if not stat.S_ISREG(status.st_mode):
        raise DestinationBlocked(f"{os.fsdecode(path)} is {kind_of(status.st_mode)}")
    return Site(facts_of(status), directory.device, free, gives_back=True)


def _odd(names: Sequence[bytes]) -> set[bytes]:
    """Return those that no file of ours can have."""
    return {
        name for name in names if name in _NO_NAMES or len(name) > NAME_MAX or (b".fdt-" in name and is_temporary(name))
    }


def _survey(directory: Directory, path: bytes) -> int:
    """Return the free bytes of a directory that may be written.  Raises DestinationUnwritable, DestinationFailed."""
    now = time.monotonic()
    if now - directory.surveyed_at > SURVEY_S:
        _check_writable(directory, path)
        directory.free = _free_bytes(directory)
        directory.surveyed_at = now
    return directory.free


def _check_writable(directory: Directory, path: bytes) -> None:
    if not os.access(b".", os.W_OK | os.X_OK, dir_fd=directory.descriptor, effective_ids=True):
        raise DestinationUnwritable(f"the account {os.geteuid()} may not write to the directory of {os.fsdecode(path)}")


def _free_bytes(directory: Directory) -> int:
    try:
        status = os.fstatvfs(directory.descriptor)
    except OSError as exc:
        raise DestinationFailed(f"asking for free space: {exc.strerror}") from exc
    return status.f_bavail * status.f_frsize
