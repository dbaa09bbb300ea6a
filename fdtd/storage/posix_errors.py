"""What an OSError of a destination means to its user: whose fault it is, and what he can do about it."""

from __future__ import annotations

import errno
import os

from fdtcp.errors import (
    DestinationBlocked,
    DestinationFailed,
    DestinationFull,
    DestinationUnwritable,
    FdtError,
    PathRefused,
)


def destination_error(path: bytes, exc: OSError) -> FdtError:
    """Say what an OSError at the destination means to the user."""
    name = os.fsdecode(path)
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return DestinationFull(f"{name}: {exc.strerror}")
    if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DestinationUnwritable(f"{name}: {exc.strerror} (account {os.geteuid()})")
    if exc.errno in (errno.ELOOP, errno.ENOTDIR):
        return DestinationBlocked(f"{name}: a symlink, or something that is no directory, is in the way")
    if exc.errno == errno.EISDIR:
        return DestinationBlocked(f"{name} is a directory")
    if exc.errno == errno.EXDEV:
        return PathRefused(f"{name} leads out of the directories that this site allows")
    if exc.errno == errno.ENAMETOOLONG:
        return PathRefused(f"{name}: the name is too long")
    return DestinationFailed(f"{name}: {exc.strerror}")
