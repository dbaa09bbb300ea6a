"""From a back end of fdtd.conf to a connection, with the credentials of the account that we run as.

Decides which module serves which scheme, and imports only that one: a mover that moves files of a file system loads
nothing of fsspec.
"""

from __future__ import annotations

import os
import pwd

from fdtcp.errors import StorageUnavailable
from fdtd.storage.mapping import parse_target
from fdtd.storage.store import Store


def open_store(backend: str) -> Store:
    """Connect to a back end as configured.  Raises StorageUnavailable if its libraries are not installed."""
    _go_home()
    target = parse_target(backend)
    try:
        if target.scheme == "s3":
            from fdtd.storage.s3_store import S3Store

            return S3Store(target)
        from fdtd.storage.fsspec_store import HdfsStore, MemoryStore

        return HdfsStore(target) if target.scheme == "webhdfs" else MemoryStore(target)
    except ImportError as exc:
        raise StorageUnavailable(f"{target.scheme}:// needs {exc.name}, which is not installed here") from exc


def _go_home() -> None:
    """Let libraries find the account's credentials: a mover starts with the root directory as its home."""
    if os.environ.get("HOME", "/") == "/":
        os.environ["HOME"] = pwd.getpwuid(os.geteuid()).pw_dir
