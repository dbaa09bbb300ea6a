"""Paths below the allowed prefixes, and open directories.

Decides whether a path may be touched at all, and opens directories so that no symlink leads out of the prefix.  Which
prefixes there are is the daemon's decision; every path of a job passes through here, at every open.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from types import TracebackType
from typing import Final, NamedTuple

from fdtcp.errors import DestinationVanished, PathRefused
from fdtd.storage.kernel import open_beneath
from fdtd.storage.listing import Listing

# Data sets come as directories with many files; a few hundred descriptors are nothing next to the default of 1,024.
MAX_IDLE_DIRECTORIES: Final = 256

_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY


class Prefix(NamedTuple):
    """An allowed directory: as configured, with symlinks resolved, and open."""

    path: tuple[bytes, ...]
    real: tuple[bytes, ...]
    descriptor: int


class Prefixes:
    """The directories beneath which everything happens; a context manager, because it holds their descriptors."""

    def __init__(self, prefixes: Sequence[bytes], scopes: Sequence[bytes] | None = None) -> None:
        """`scopes`: what a bearer token leaves of all that is below the prefixes; None: all of it."""
        self._scopes = None if scopes is None else [split_path(scope) for scope in scopes]
        self._texts = [split_path(path) for path in prefixes]
        self._prefixes: list[Prefix] = []
        for path in prefixes:
            try:
                descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY)
            except OSError:
                # A prefix that does not exist here allows nothing; the others still do.
                continue
            real = split_path(os.path.realpath(path))
            self._prefixes.append(Prefix(split_path(path), real, descriptor))
        self._prefixes.sort(key=lambda prefix: -len(prefix.path))

    def __enter__(self) -> Prefixes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for prefix in self._prefixes:
            os.close(prefix.descriptor)
        self._prefixes.clear()

    def locate(self, path: bytes) -> tuple[int, tuple[bytes, ...]]:
        """Return the descriptor of the longest prefix above `path` and the rest.  Raises PathRefused."""
        parts = split_path(path)
        for prefix in self._prefixes:
            for above in (prefix.path, prefix.real):
                if parts[: len(above)] == above and len(parts) > len(above):
                    return prefix.descriptor, parts[len(above) :]
        raise PathRefused(f"{os.fsdecode(path)} is not below a directory that this site allows")

    def is_in_place(self, top: int) -> bool:
        """Whether the path of a prefix still leads to what is open of it: it may be in a directory of somebody else."""
        path = next(prefix.path for prefix in self._prefixes if prefix.descriptor == top)
        try:
            return os.path.samestat(os.stat(b"/" + b"/".join(path)), os.fstat(top))
        except OSError:
            return False

    def check_text(self, path: bytes) -> None:
        """Raise PathRefused unless a path that is no file of this host is beneath a prefix, and the token allows it.

        No symlink can lead anywhere there, and the prefix need not exist here: what is written is what is meant.
        """
        parts = split_path(path)
        if not any(len(parts) > len(above) and parts[: len(above)] == above for above in self._texts):
            raise PathRefused(f"{os.fsdecode(path)} is not below a directory that this site allows")
        if self._scopes is not None and not any(parts[: len(scope)] == scope for scope in self._scopes):
            raise PathRefused(f"{os.fsdecode(path)} is not within what the bearer token allows")

    def check_scope(self, path: bytes) -> None:
        """Raise PathRefused unless the caller's token, if he brought one, allows this path.

        Beneath a prefix no symlink is followed, so the path says where it leads; the prefix itself has two spellings.
        """
        if not self.is_in_scope(path):
            raise PathRefused(f"{os.fsdecode(path)} is not within what the bearer token allows")

    @property
    def is_scoped(self) -> bool:
        """Whether the caller has brought a token, so that there is something to be asked of each path."""
        return self._scopes is not None

    def is_in_scope(self, path: bytes) -> bool:
        """Whether the caller's token, if he brought one, allows this path.  Raises PathRefused for what is no path."""
        if self._scopes is None:
            return True
        parts = split_path(path)
        for prefix in self._prefixes:
            for above in (prefix.path, prefix.real):
                if parts[: len(above)] == above:
                    rest = parts[len(above) :]
                    spellings = (prefix.path + rest, prefix.real + rest)
                    if any(spelling[: len(scope)] == scope for scope in self._scopes for spelling in spellings):
                        return True
        return False


def split_path(path: bytes) -> tuple[bytes, ...]:
    """Return the components of an absolute path; refuses what could climb or could not be a name."""
    if not path.startswith(b"/") or b"\0" in path:
        raise PathRefused(f"{os.fsdecode(path)!r} is not an absolute path")
    parts = tuple(part for part in path.split(b"/") if part not in (b"", b"."))
    if b".." in parts:
        raise PathRefused(f"{os.fsdecode(path)} contains ..")
    return parts


class Directory:
    """An open directory.  `made_in` is the directory in which we made it, until that one has been synced.

    `free` is what pre-flight found when it looked `surveyed_at`, `listing` what it has read of the names.
    """

    __slots__ = ("_inode", "_lost", "descriptor", "device", "free", "key", "listing", "made_in", "surveyed_at", "users")

    def __init__(self, key: tuple[int, tuple[bytes, ...]], descriptor: int, made_in: Directory | None) -> None:
        self.key = key
        self.descriptor = descriptor
        status = os.fstat(descriptor)
        self.device, self._inode = status.st_dev, status.st_ino
        self.made_in = made_in
        self.users = 0
        self.free = 0
        self.surveyed_at = float("-inf")
        self.listing = Listing()
        self._lost: OSError | None = None

    def sync(self) -> None:
        """Make the names in it safe, and its own name where we made it.  Raises OSError, from then on each time.

        The kernel would say it once, and of the names of all files only to the first that asks.
        """
        if self._lost is not None:
            raise self._lost.with_traceback(None)
        try:
            os.fsync(self.descriptor)
        except OSError as exc:
            self._lost = exc
            raise
        if self.made_in is not None:
            self.made_in.sync()

    def is_in_place(self) -> bool:
        """Whether its path below its prefix leads to it still: another directory may have been put in its place."""
        top, parts = self.key
        try:
            descriptor = open_beneath(top, b"/".join(parts) or b".", os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return False  # whatever the reason: nobody finds here what is in it
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        return (status.st_dev, status.st_ino) == (self.device, self._inode)


class Directories:
    """Open directories beneath the prefixes, the most recently used ones; shared by threads."""

    def __init__(self, prefixes: Prefixes, new_mode: int = 0o755) -> None:
        self._prefixes = prefixes
        self._new_mode = new_mode
        self._lock = threading.Condition(threading.Lock())
        self._making: set[tuple[int, tuple[bytes, ...]]] = set()
        self._open: OrderedDict[tuple[int, tuple[bytes, ...]], Directory] = OrderedDict()
        self._recent: dict[bytes, Directory] = {}  # by what stands before the last slash of a path

    def parent_of(self, path: bytes, *, make: bool = False) -> tuple[Directory, bytes]:
        """Return the directory of `path`, to be given back by `release`, and the last component.

        With `make`, missing directories are made.  Raises PathRefused, OSError.
        """
        self._prefixes.check_scope(path)
        above, _, name = path.rpartition(b"/")
        # Of a path that ends in a slash, what stands before it is the file itself.
        is_plain = name not in (b"", b".", b"..") and b"\0" not in name
        with self._lock:
            # Thousands of files come from and go to one directory: one look-up instead of a walk through the path.
            if is_plain and (directory := self._recent.get(above)) is not None:
                directory.users += 1
                return directory, name
        top, parts = self._prefixes.locate(path)
        directory = self._made(top, parts[:-1]) if make else self._found(top, parts[:-1])
        with self._lock:
            if is_plain and self._open.get(directory.key) is directory:  # else somebody has found it gone by now
                self._recent[above] = directory
        return directory, parts[-1]

    @property
    def is_scoped(self) -> bool:
        """Whether the caller has brought a token: then `is_allowed` is to be asked for each path."""
        return self._prefixes.is_scoped

    def is_allowed(self, path: bytes) -> bool:
        """Whether the caller's token, if he brought one, allows a path of a directory that is open already."""
        return self._prefixes.is_in_scope(path)

    def forget(self, directory: Directory) -> None:
        """Look for a directory anew next time: it was removed while it was open here."""
        with self._lock:
            self._drop(directory)

    def check(self, directory: Directory, path: bytes, seen: dict[object, bool]) -> None:
        """Raise DestinationVanished unless the path of a file still leads to its directory; see `Committable`."""
        if directory not in seen:
            top = directory.key[0]
            if top not in seen:
                seen[top] = self._prefixes.is_in_place(top)
            seen[directory] = seen[top] and directory.is_in_place()
        if not seen[directory]:
            self.forget(directory)
            raise DestinationVanished(
                f"the directory of {os.fsdecode(path)} was moved away while files were written to it",
                remedy="leave directories where they are while files are written to them",
            )

    def nearest_above(self, path: bytes) -> Directory:
        """Return the nearest existing directory above `path`, to be given back.  Raises PathRefused, OSError."""
        top, parts = self._prefixes.locate(path)
        for length in range(len(parts) - 1, -1, -1):
            try:
                return self._found(top, parts[:length])
            except FileNotFoundError:
                continue
        raise FileNotFoundError(2, "the prefix itself has vanished", path)

    def release(self, directory: Directory) -> None:
        """Give back a directory; the least recently used idle ones are closed."""
        with self._lock:
            directory.users -= 1
            if directory.users == 0 and self._open.get(directory.key) is not directory:
                os.close(directory.descriptor)  # it was removed, and found anew under the same name
            if len(self._open) > MAX_IDLE_DIRECTORIES:
                self._close_idle()

    def settle(self, directory: Directory) -> None:
        """Note that the name of `directory` and those above it are safe."""
        with self._lock:
            while (parent := directory.made_in) is not None:
                directory.made_in = None
                parent.users -= 1
                directory = parent

    def close(self) -> None:
        """Close all."""
        with self._lock:
            for directory in self._open.values():
                os.close(directory.descriptor)
            self._open.clear()
            self._recent.clear()

    def _found(self, top: int, parts: tuple[bytes, ...]) -> Directory:
        """Return a directory that exists, in use.  Raises OSError.

        It is opened without the lock: a mount that hangs must not hold up who looks elsewhere.
        """
        key = (top, parts)
        with self._lock:
            if (directory := self._known(key)) is not None:
                return directory
        opened = Directory(key, open_beneath(top, b"/".join(parts) or b".", _OPEN_DIRECTORY), None)
        with self._lock:
            # Who has just made it knows what is still owed for its name.
            self._wait_made(key)
            first = self._open.setdefault(key, opened)
            first.users += 1
        if first is not opened:
            os.close(opened.descriptor)  # another thread was faster
        return first

    def _made(self, top: int, parts: tuple[bytes, ...]) -> Directory:
        """Return a directory, in use, that is made if it is missing.  Raises OSError.

        Without the lock, as `_found`; but one thread at a time for each of them.
        """
        key = (top, parts)
        with self._lock:
            self._wait_made(key)
            if (directory := self._known(key)) is not None:
                return directory
            self._making.add(key)
        made_in = None
        try:
            try:
                descriptor = open_beneath(top, b"/".join(parts) or b".", _OPEN_DIRECTORY)
            except FileNotFoundError:
                if not parts:
                    raise
                made_in = self._made(top, parts[:-1])  # in use for as long as it lives: its sync is still owed
                descriptor = self._make(made_in, parts[-1])
            made = Directory(key, descriptor, made_in)
        except BaseException:
            if made_in is not None:
                self.release(made_in)
            with self._lock:
                self._making.discard(key)
                self._lock.notify_all()
            raise
        with self._lock:
            self._making.discard(key)
            self._lock.notify_all()
            self._open[key] = made
            made.users += 1
        return made

    def _known(self, key: tuple[int, tuple[bytes, ...]]) -> Directory | None:
        """Return a directory that is open, in use; call with the lock."""
        if (directory := self._open.get(key)) is not None:
            self._open.move_to_end(key)
            directory.users += 1
        return directory

    def _wait_made(self, key: tuple[int, tuple[bytes, ...]]) -> None:
        """Wait while another thread makes a directory, as for the system call that it is in; call with the lock."""
        while key in self._making:
            self._lock.wait()

    def _make(self, parent: Directory, name: bytes) -> int:
        try:
            os.mkdir(name, self._new_mode, dir_fd=parent.descriptor)
        except FileExistsError:
            pass  # another transfer was faster; its name is synced with ours
        return open_beneath(parent.descriptor, name, _OPEN_DIRECTORY)

    def _close_idle(self) -> None:
        for directory in list(self._open.values()):
            if len(self._open) <= MAX_IDLE_DIRECTORIES // 2:
                return
            if directory.users == 0 and directory.made_in is None:
                self._drop(directory)

    def _drop(self, directory: Directory) -> None:
        if self._open.get(directory.key) is directory:
            del self._open[directory.key]
            self._recent.clear()
            if directory.users == 0:
                os.close(directory.descriptor)
