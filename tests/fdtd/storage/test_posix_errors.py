"""What errors of a POSIX file system mean."""

from __future__ import annotations

import errno
import os

import pytest

from fdtd.storage.posix_errors import destination_error


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "destination-full"),
        (errno.EDQUOT, "destination-full"),
        (errno.EROFS, "destination-unwritable"),
        (errno.EACCES, "destination-unwritable"),
        (errno.ELOOP, "destination-blocked"),
        (errno.ENOTDIR, "destination-blocked"),
        (errno.EXDEV, "path-refused"),
        (errno.EIO, "destination-failed"),
        (errno.EBADF, "destination-failed"),
    ],
)
def test_each_error_has_its_meaning(number: int, code: str) -> None:
    error = destination_error(b"/to/file", OSError(number, os.strerror(number)))
    assert error.code == code and "/to/file" in error.reason
