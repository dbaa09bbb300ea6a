"""One file of a POSIX file system while it is written, made safe and put in place.

Decides how each step is done there and what its errors mean; the order of the steps is `fdtd.mover.commit`'s.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from typing import Final

from fdtcp.errors import DestinationExists, DestinationFull, DestinationVanished
from fdtcp.model.order import Direct
from fdtd.storage.base import Facts, Volume
from fdtd.storage.bulk import LARGE_BYTES, Bulk, is_much, wants_direct, write_all
from fdtd.storage.kernel import rename_without_clobber, reserve_room
from fdtd.storage.names import journal_name
from fdtd.storage.paths import Directories, Directory
from fdtd.storage.posix_errors import destination_error
from fdtd.storage.posix_source import facts_of
from fdtd.storage.posix_volume import FileSystem

_JOURNAL: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_DIRECT: Final = os.O_WRONLY | os.O_DIRECT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

# The largest block of the file systems that we know: cut there, no byte before is touched.
_BLOCK_BYTES: Final = 64 << 10

# A journal of ours is far smaller; whatever else stands under that name is not read into memory.
_MAX_JOURNAL_BYTES: Final = 64 << 20


class PosixPartial:
    """See `fdtd.storage.base.Partial`; holds the lock of its inode, a user of its directory, and one descriptor.

    Where one sync for all files cannot be believed it is its own volume (docs/decisions/0014).
    """

    __slots__ = (
        "_bulk",
        "_directories",
        "_directory",
        "_final",
        "_identity",
        "_is_published",
        "_journal",
        "_name",
        "_path",
        "_system",
        "descriptor",
        "turn",
    )

    promise = ""
    is_resumable = True
    is_shared = False

    def __init__(
        self,
        descriptor: int,
        system: FileSystem,
        directories: Directories,
        directory: Directory,
        path: bytes,
        name: bytes,
    ) -> None:
        self.descriptor = descriptor
        self._system = system
        self._directories = directories
        self._directory = directory
        self._path = path
        self._final = path.rstrip(b"/").rsplit(b"/", 1)[1]
        self._name = name
        self._journal = -1
        self._identity: tuple[int, int] | None = None  # device and inode, once somebody has looked
        self._is_published = False
        self._bulk: Bulk | None = None  # of a large file
        self.turn = threading.Lock() if system.writes_in_turn else None

    @property
    def volume(self) -> Volume:
        """Its file system, or itself."""
        return self._system if self._system.is_honest else self

    @property
    def path(self) -> bytes:
        """The temporary name, absolute."""
        return self._path.rstrip(b"/").rsplit(b"/", 1)[0] + b"/" + self._name

    @property
    def direct_bytes(self) -> int:
        """How much it takes at a time, past the page cache."""
        return self._bulk.direct_bytes if self._bulk is not None else 0

    def reserve(self, size: int, direct: Direct) -> None:
        """Get the room of a large file where that costs nothing: a disk that is full refuses before a byte has come."""
        if direct is not Direct.YES and size < LARGE_BYTES:
            return
        held = self.facts().size
        self._system.written += size
        try:
            if self._system.has_extents:
                reserve_room(self.descriptor, size)
        except OSError as exc:
            self.cut(held)  # it may have got some
            raise destination_error(self._path, exc) from exc
        written = self._system.written
        wanted = wants_direct(direct, size, written, has_extents=self._system.has_extents)
        self._bulk = Bulk(self.descriptor, self._open_direct() if wanted else -1, drops=is_much(written))
        if self.direct_bytes:
            self.turn = None  # these writes go side by side

    def _open_direct(self) -> int:
        """Open the file again, past the page cache; -1 where that is refused.

        Not the descriptor that it has: the last bytes of a file, and journals of its reader, are not aligned.
        """
        try:
            descriptor = os.open(self._name, _DIRECT, dir_fd=self._directory.descriptor)
        except OSError:
            return -1
        if os.path.sameopenfile(descriptor, self.descriptor):
            return descriptor
        os.close(descriptor)
        return -1

    def cut(self, size: int) -> None:
        """Give back room behind `size`; rounded up, so that no block with bytes that count is touched."""
        try:
            held = os.fstat(self.descriptor).st_size
            os.ftruncate(self.descriptor, min(held, -(-size // _BLOCK_BYTES) * _BLOCK_BYTES))
        except OSError:
            pass  # it is only room

    def write(self, view: memoryview, offset: int) -> None:
        """Write all of `view`."""
        try:
            if self._bulk is not None:
                self._bulk.write(view, offset)
            else:
                write_all(self.descriptor, view, offset)
        except OSError as exc:
            raise destination_error(self._path, exc) from exc

    def accept(self, offset: int, length: int, size: int) -> None:  # noqa: ARG002  # `reserve` has said it
        """Let the kernel begin to write a large file; what was damaged on its way is written over later."""
        if self._bulk is not None:
            self._bulk.accept(offset, length)

    def sync_data(self) -> None:
        """Sync the data, and the metadata needed to find it."""
        self._sync(os.fdatasync, self.descriptor)

    def dress(self, mode: int, mtime_ns: int) -> None:
        """Set mode and times; the access time is what a fresh file has."""
        try:
            held = os.fstat(self.descriptor)
            self._identity = (held.st_dev, held.st_ino)
            # A file that was made with it has it already, unless a default ACL has masked it.
            if held.st_mode & 0o7777 != mode & 0o777:
                os.fchmod(self.descriptor, mode & 0o777)
            os.utime(self.descriptor, ns=(mtime_ns, mtime_ns))
        except OSError as exc:
            raise destination_error(self._path, exc) from exc

    def sync(self) -> None:
        """fsync: not fdatasync, which may leave out mode and time.  Once it is in place: its name."""
        if self._is_published:
            self.sync_name()
        else:
            self._sync(os.fsync, self.descriptor)

    def publish(self, *, replace: bool) -> None:
        """Rename into place, after a look whether the name still leads to what was written."""
        directory = self._directory.descriptor
        try:
            named = os.stat(self._name, dir_fd=directory, follow_symlinks=False)
            if (named.st_dev, named.st_ino) != (self._identity or self.facts().identity):
                raise DestinationVanished(f"{os.fsdecode(self.path)} was replaced by another file")
            if replace:
                os.rename(self._name, self._final, src_dir_fd=directory, dst_dir_fd=directory)
            else:
                rename_without_clobber(directory, self._name, self._final)
        except FileNotFoundError as exc:
            raise DestinationVanished(f"{os.fsdecode(self.path)} was removed by somebody else") from exc
        except FileExistsError as exc:
            raise DestinationExists(f"{os.fsdecode(self._path)} was made by somebody else meanwhile") from exc
        except OSError as exc:
            raise destination_error(self._path, exc) from exc
        self._is_published = True
        self._forget_journal()

    def sync_name(self) -> None:
        """Sync the directory, and those above in which directories were made."""
        self._system.check()
        try:
            self._directory.sync()
        except OSError as exc:
            raise destination_error(self._path, exc) from exc

    def check_place(self, seen: dict[object, bool]) -> None:
        """Check that its directory is where it was."""
        self._directories.check(self._directory, self._path, seen)

    def settle(self) -> None:
        """Let go of the debt of directories that were made."""
        if self._directory.made_in is not None:
            self._directories.settle(self._directory)

    def retract(self) -> None:
        """Unlink the final name, if it is still our file."""
        self._unlink(self._final)

    def remove(self) -> None:
        """Unlink the temporary names; the journal first: one without a partial says nothing, the reverse may lie."""
        if self._journal >= 0:
            os.close(self._journal)
            self._journal = -1
        self.forget_stale_journal()
        self._unlink(self._name)

    def facts(self) -> Facts:
        """Look at the open file."""
        try:
            return facts_of(os.fstat(self.descriptor))
        except OSError as exc:
            raise destination_error(self._path, exc) from exc

    def drop_cached(self, offset: int, length: int) -> None:
        """Drop what is clean, as all of it is after a sync; on a tmpfs there is nothing behind it."""
        try:
            os.posix_fadvise(self.descriptor, offset, length, os.POSIX_FADV_DONTNEED)
        except OSError as exc:
            raise destination_error(self._path, exc) from exc

    def read_back(self, view: memoryview, offset: int) -> int:
        """Read what was written."""
        try:
            return os.preadv(self.descriptor, (view,), offset)
        except OSError as exc:
            raise destination_error(self._path, exc) from exc

    def read_journal(self) -> bytes:
        """Read the journal beside it; what is no regular file of ours reads as none."""
        try:
            if self._journal < 0:
                self._journal = os.open(journal_name(self._final), _JOURNAL, dir_fd=self._directory.descriptor)
            status = os.fstat(self._journal)
            if status.st_nlink != 1 or status.st_uid != os.geteuid() or status.st_size > _MAX_JOURNAL_BYTES:
                return b""
            return os.pread(self._journal, status.st_size, 0)
        except OSError:
            return b""

    def append_journal(self, data: bytes) -> None:
        """Append and fsync."""
        try:
            if self._journal < 0:
                flags = _JOURNAL | os.O_CREAT | os.O_EXCL
                self._journal = os.open(journal_name(self._final), flags, 0o600, dir_fd=self._directory.descriptor)
            end = os.fstat(self._journal).st_size
            if os.pwrite(self._journal, data, end) != len(data):
                os.ftruncate(self._journal, end)
                raise DestinationFull(f"no space left for the journal of {os.fsdecode(self._path)}")
            os.fsync(self._journal)
        except OSError as exc:
            raise destination_error(self._path, exc) from exc

    def close(self) -> None:
        """Close; the kernel drops the lock.

        Its number may be another file's the next moment: who comes later finds none.
        """
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor < 0:
            return
        os.close(descriptor)
        if self._bulk is not None:
            self._bulk.close()
        if self._journal >= 0:
            os.close(self._journal)
            self._journal = -1
        self._directories.release(self._directory)

    def forget_stale_journal(self) -> None:
        """Remove a journal that describes a partial before this one.

        It must be gone before the first byte is written: inode numbers are reused, so a journal could be taken for
        this partial's and vouch for bytes that were never written.
        """
        self._unlink_plainly(journal_name(self._final))

    def _sync(self, call: Callable[[int], None], descriptor: int) -> None:
        self._system.check()
        try:
            sync_open(call, descriptor)
        except OSError as exc:
            raise destination_error(self._path, exc) from exc

    def _forget_journal(self) -> None:
        if self._journal >= 0:
            os.close(self._journal)
            self._journal = -1
            self._unlink_plainly(journal_name(self._final))

    def _unlink(self, name: bytes) -> None:
        try:
            named = os.stat(name, dir_fd=self._directory.descriptor, follow_symlinks=False)
            held = os.fstat(self.descriptor)
        except OSError:
            return
        if (named.st_ino, named.st_dev) == (held.st_ino, held.st_dev):
            self._unlink_plainly(name)

    def _unlink_plainly(self, name: bytes) -> None:
        try:
            os.unlink(name, dir_fd=self._directory.descriptor)
        except OSError:
            pass  # gone already, or not ours to remove: either way there is nothing more that we can do


def sync_open(call: Callable[[int], None], descriptor: int) -> None:
    """Call fsync or fdatasync; a closed file (-1), for which Python has a ValueError, is an OSError as elsewhere."""
    if descriptor < 0:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    call(descriptor)
