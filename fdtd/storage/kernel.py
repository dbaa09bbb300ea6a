"""The system calls that Python has no name for.

Decides how each is called and that a failure is an OSError; when to call them is decided elsewhere.  Needs Linux 5.6
(openat2).  The numbers are those of every architecture that got its calls after 2019, where numbers are common to all.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from struct import Struct
from typing import Final

_libc: Final = ctypes.CDLL(None, use_errno=True)

_SYS_OPENAT2: Final = 437
_RENAME_NOREPLACE: Final = 1
_PR_SET_DUMPABLE: Final = 4

# linux/openat2.h
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_NO_SYMLINKS: Final = 0x04
_RESOLVE_BENEATH: Final = 0x08

# linux/fcntl.h
_AT_FDCWD: Final = -100
_AT_SYMLINK_FOLLOW: Final = 0x400
_AT_EMPTY_PATH: Final = 0x1000

# openat2 answers EAGAIN when a rename elsewhere raced with the walk; three in a row are an attack, or hopeless.
_OPEN_ATTEMPTS: Final = 4


# linux/magic.h: ext2 to ext4, xfs, btrfs, f2fs, tmpfs.  What syncfs does elsewhere is the file system's own business:
# NFS and FUSE are not asked to write back, or do not say what was lost.
_WITH_SYNCFS: Final = frozenset({0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x01021994})

# ext4 (whose elder relatives share its number, and refuse) and xfs: room for a whole file is a few extents, got in
# microseconds, and writes past the page cache go side by side.  On tmpfs room is memory, got page by page; on btrfs it
# is taken from compression; elsewhere nobody has measured.
_WITH_EXTENTS: Final = frozenset({0xEF53, 0x58465342})

# Those of the above, as it happens: a write through the page cache holds the lock of its inode (ext4 and others that
# inherit the kernel's way); elsewhere writes to one file may go side by side.
_WITH_LOCKED_WRITES: Final = _WITH_SYNCFS

# linux/fs.h
_SYNC_FILE_RANGE_WRITE: Final = 2

# The file system, or the kernel, does not know how to reserve room.
_NO_RESERVING: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})

# Before, syncfs returned 0 whatever was lost.
_SYNCFS_REPORTS: Final = (5, 8)

# More than any architecture's struct statfs takes; its first word is the type.
_STATFS_BYTES: Final = 512

# linux/dirent.h: number and offset, then how long the entry is, what it is, and its name with a NUL behind it.
_ENTRY_LENGTH: Final = Struct("=16xH")
_ENTRY_NAME: Final = 19

# Entries of names that are neither short nor long take as much.
_ENTRY_BYTES: Final = 48
_LEAST_ENTRIES_BYTES: Final = 4 << 10
_MOST_ENTRIES_BYTES: Final = 256 << 10


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc.syscall.restype = ctypes.c_long
# Said once: guessing the types at each call takes longer than the call.
_renameat2: Final = _libc.renameat2
_renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_linkat: Final = _libc.linkat
_linkat.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
_getdents64: Final = _libc.getdents64
_getdents64.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_getdents64.restype = ctypes.c_ssize_t

_fallocate: Final = _libc.fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_sync_file_range: Final = _libc.sync_file_range
_sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def open_beneath(directory: int, path: bytes, flags: int, mode: int = 0) -> int:
    """Open `path` below the descriptor `directory`, through no symlink and never above it.

    Raises OSError: ELOOP for a symlink in the way, EXDEV for an attempt to leave.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS)
    for _ in range(_OPEN_ATTEMPTS):
        descriptor: int = _libc.syscall(
            ctypes.c_long(_SYS_OPENAT2),
            ctypes.c_int(directory),
            ctypes.c_char_p(path),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if descriptor >= 0:
            return descriptor
        if ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            break
    raise _os_error(path)


class NoSafeRename(OSError):
    """The file system can neither rename without replacing nor make hard links."""


def rename_without_clobber(directory: int, old: bytes, new: bytes) -> None:
    """Rename within one directory, only if `new` does not exist.  Raises OSError (EEXIST), NoSafeRename."""
    if _renameat2(directory, old, directory, new, _RENAME_NOREPLACE) == 0:
        return
    if ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS):
        raise _os_error(new)
    # NFS and some FUSE file systems do not know the flag; a hard link never replaces anything either.
    try:
        os.link(old, new, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
    except OSError as exc:
        if exc.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise NoSafeRename(exc.errno, exc.strerror, new) from exc
        raise
    os.unlink(old, dir_fd=directory)


def name_file(descriptor: int, directory: int, name: bytes) -> None:
    """Give a file that was opened without a name one, never that of another.  Raises OSError (EEXIST)."""
    if _linkat(descriptor, b"", directory, name, _AT_EMPTY_PATH) == 0:
        return
    if ctypes.get_errno() == errno.ENOENT:
        # Before Linux 6.10 that needs a capability; the way through /proc needs none.
        path = b"/proc/self/fd/%d" % descriptor
        if _linkat(_AT_FDCWD, path, directory, name, _AT_SYMLINK_FOLLOW) == 0:
            return
    raise _os_error(name)


def list_names(directory: int, most: int) -> set[bytes] | None:
    """Return the names in a directory; None if there are more than `most`.  Moves its offset.  Raises OSError.

    Not os.listdir: that one lets go of the interpreter's lock for each name, and each time another thread has to be
    woken up for it.
    """
    os.lseek(directory, 0, os.SEEK_SET)
    entries = ctypes.create_string_buffer(min(max(most * _ENTRY_BYTES, _LEAST_ENTRIES_BYTES), _MOST_ENTRIES_BYTES))
    names: set[bytes] = set()
    add, length_of = names.add, _ENTRY_LENGTH.unpack_from
    while (count := _getdents64(directory, entries, len(entries))) > 0:
        data = ctypes.string_at(entries, count)
        start, find = 0, data.index
        while start < count:
            name = start + _ENTRY_NAME
            add(data[name : find(0, name)])
            start += length_of(data, start)[0]
        if len(names) > most + 2:
            return None
    if count < 0:
        raise _os_error(b"getdents64")
    names -= {b".", b".."}
    return names


def sync_file_system(descriptor: int) -> None:
    """Write back the whole file system of `descriptor`; raises OSError for any error since that was opened."""
    if _libc.syncfs(descriptor) != 0:
        raise _os_error(b"syncfs")


def has_honest_syncfs(descriptor: int) -> bool:
    """Whether syncfs writes back all of the file system of `descriptor`, and reports what was lost.  Raises OSError."""
    return _kernel_version() >= _SYNCFS_REPORTS and _kind_of(descriptor) in _WITH_SYNCFS


def has_extents(descriptor: int) -> bool:
    """Whether the file system of `descriptor` is one that is made for large files on a disk.  Raises OSError."""
    return _kind_of(descriptor) in _WITH_EXTENTS


def writes_in_turn(descriptor: int) -> bool:
    """Whether the file system of `descriptor` takes one write to a file at a time.  Raises OSError."""
    return _kind_of(descriptor) in _WITH_LOCKED_WRITES


def reserve_room(descriptor: int, size: int) -> bool:
    """Give a file its length and the room for it; False where that is not known.  Raises OSError (ENOSPC, EDQUOT).

    Not os.posix_fallocate: where a file system cannot, that one writes a byte to each block.
    """
    while _fallocate(descriptor, 0, 0, size) != 0:
        if ctypes.get_errno() in _NO_RESERVING:
            return False
        if ctypes.get_errno() != errno.EINTR:
            raise _os_error(b"fallocate")
    return True


def start_write_back(descriptor: int, offset: int, length: int) -> None:
    """Let the kernel begin to write a part of a file to its disk; what goes wrong is for the next sync to say."""
    _sync_file_range(descriptor, offset, length, _SYNC_FILE_RANGE_WRITE)


def _kind_of(descriptor: int) -> int:
    status = ctypes.create_string_buffer(_STATFS_BYTES)
    if _libc.fstatfs(descriptor, status) != 0:
        raise _os_error(b"fstatfs")
    return ctypes.c_ulong.from_buffer(status).value & 0xFFFFFFFF


def _kernel_version() -> tuple[int, int]:
    numbers = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def forbid_dumps() -> None:
    """Keep secrets out of core files and other processes of the same account out of our memory."""
    if _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise _os_error(b"prctl")


def _os_error(what: bytes) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)
