"""Trees of named files that fsspec speaks to: HDFS by its REST interface, and fsspec's own memory.

Decides how a file is written there: under a temporary name beside the destination, then renamed.  What fsspec and the
libraries below it raise leaves here as an OSError.
"""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from fdtd.storage.names import partial_name
from fdtd.storage.store import Stored

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

    from fdtd.storage.mapping import Target

# Connecting, and waiting for the next byte: a name node that collects its garbage has been seen to take half a minute.
CONNECT_TIMEOUT_S: Final = 10.0
ANSWER_TIMEOUT_S: Final = 60.0

# webhdfs appends to a file with one request (and a new block report) for each: large ones.  One open file holds it.
APPEND_BYTES: Final = 16 << 20

_WEBHDFS_PORT: Final = 9870

Plain = dict[str, Any]  # Any: fsspec ships no types, and each of its file systems has facts of its own


class TreeStore:
    """One tree, below `base`."""

    def __init__(self, system: Any, base: str) -> None:  # Any: fsspec ships no types
        self.system = system
        self._base = base

    def path(self, key: str) -> str:
        """Return the name in the tree."""
        return "/" + "/".join(part for part in (self._base, key) if part)

    def find(self, key: str) -> Stored | None:
        """Look at a file."""
        with told_as_os_error():
            try:
                info: Plain = self.system.info(self.path(key))
            except FileNotFoundError:
                return None
            if info["type"] != "file":
                raise IsADirectoryError(errno.EISDIR, "is a directory", key)
            return self.stored(info)

    def stored(self, info: Plain) -> Stored:
        """Read what the tree says of a file."""
        changed_ns = int(self.system.modified(info["name"]).timestamp() * 1e9)
        return Stored(info["size"], changed_ns, f"{info['size']} {changed_ns}")

    def read(self, key: str, offset: int, length: int, tag: str) -> bytes:  # noqa: ARG002  # trees read what is there
        """Read."""
        with told_as_os_error():
            return bytes(self.system.cat_file(self.path(key), start=offset, end=offset + length))

    def upload(self, key: str) -> TreeUpload:
        """Begin a file."""
        return TreeUpload(self, key)

    def remove(self, key: str) -> None:
        """Remove a file."""
        with told_as_os_error():
            self.system.rm_file(self.path(key))

    def rename(self, old: str, new: str, *, replace: bool) -> None:
        """Rename in the tree; without `replace` it may be refused silently."""
        if replace:
            self.system.rm_file(new)
        self.system.mv(old, new)

    def close(self) -> None:
        """Nothing is held."""


class TreeUpload:
    """A file under its temporary name."""

    def __init__(self, store: TreeStore, key: str) -> None:
        self.promise = "closed and renamed by the store, as durable as its files are; mode and time are the store's"
        self._store = store
        self._system = store.system
        self._key = key
        parent, _, name = key.rpartition("/")
        temporary = partial_name(name.encode()).decode("utf-8", "replace")
        self._temporary = store.path(f"{parent}/{temporary}" if parent else temporary)
        self._file: Any = None  # Any: see Plain
        self._is_finished = False

    def append(self, piece: bytes) -> None:
        """Write on."""
        with told_as_os_error():
            self._open().write(piece)

    def finish(self) -> None:
        """Close the temporary file."""
        if not self._is_finished:
            with told_as_os_error():
                self._open().close()
            self._is_finished = True

    def publish(self, *, replace: bool) -> None:
        """Rename."""
        there = self._store.find(self._key) is not None
        if there and not replace:
            raise FileExistsError(errno.EEXIST, "exists", self._key)
        with told_as_os_error():
            self._store.rename(self._temporary, self._store.path(self._key), replace=there)
            # HDFS refuses to rename onto a file by a mere `false`, which fsspec does not look at.
            if self._system.exists(self._temporary):
                raise FileExistsError(errno.EEXIST, "the store did not rename", self._key)

    def discard(self) -> None:
        """Remove the temporary file."""
        if self._file is None:
            return
        self._file = None
        try:
            with told_as_os_error():
                self._system.rm_file(self._temporary)
        except OSError:
            pass  # the next attempt at this file writes over it

    def _open(self) -> Any:  # Any: see Plain
        if self._file is None:
            parent = self._temporary.rpartition("/")[0]
            self._system.makedirs(parent or "/", exist_ok=True)
            self._file = self._system.open(self._temporary, "wb", block_size=APPEND_BYTES)
        return self._file


class HdfsStore(TreeStore):
    """HDFS by its REST interface, as the account (or with its Kerberos ticket)."""

    def __init__(self, target: Target) -> None:
        from fsspec.implementations.webhdfs import WebHDFS

        kerberos = target.options.get("kerberos") == "yes"
        account = None if kerberos else pwd.getpwuid(os.geteuid()).pw_name
        system = WebHDFS(
            target.host,
            target.port or _WEBHDFS_PORT,
            kerberos=kerberos,
            user=account,
            use_https=target.options.get("https") == "yes",
            use_listings_cache=False,
            skip_instance_cache=True,
        )
        system.session.mount("http://", _patient_adapter())
        system.session.mount("https://", _patient_adapter())
        super().__init__(system, target.base)

    def stored(self, info: Plain) -> Stored:
        """Read what the name node says of a file; its times are in milliseconds."""
        changed_ns = int(info["modificationTime"]) * 1_000_000
        return Stored(info["size"], changed_ns, f"{info.get('fileId', '')} {changed_ns}")

    def read(self, key: str, offset: int, length: int, tag: str) -> bytes:  # noqa: ARG002  # HDFS has no versions
        """Read; not by fsspec, which takes the text of an error for content."""
        system = self.system
        with told_as_os_error():
            answer = system.session.get(
                system.url + quote(self.path(key), safe="/"),
                params={"op": "OPEN", "offset": offset, "length": length, **system.pars},
            )
            answer.raise_for_status()
            return bytes(answer.content)

    def rename(self, old: str, new: str, *, replace: bool) -> None:
        """Rename in one step; removing first could end with neither file."""
        if not replace:
            self.system.mv(old, new)
            return
        answer = self.system.session.put(
            self.system.url + quote(old, safe="/"),
            params={"op": "RENAME", "destination": new, "renameoptions": "OVERWRITE", **self.system.pars},
        )
        answer.raise_for_status()

    def close(self) -> None:
        """Close connections."""
        self.system.session.close()


class MemoryStore(TreeStore):
    """What lives as long as this process: for tests."""

    def __init__(self, target: Target) -> None:
        from fsspec.implementations.memory import MemoryFileSystem

        super().__init__(MemoryFileSystem(), target.base)


def _patient_adapter() -> Any:  # Any: the class is made where its library is imported
    from requests.adapters import HTTPAdapter

    class Patient(HTTPAdapter):
        """Waits, but not for ever: requests has no deadline by itself."""

        def send(self, request: PreparedRequest, **options: Any) -> Response:  # type: ignore[override]  # as called  # Any: passed on
            options["timeout"] = options.get("timeout") or (CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S)
            return super().send(request, **options)

    return Patient()


@contextmanager
def told_as_os_error() -> Iterator[None]:
    """Let nothing but OSErrors out."""
    try:
        yield
    except OSError:
        raise
    except Exception as exc:  # the boundary to libraries that raise what they like
        raise OSError(errno.EIO, f"{type(exc).__name__}: {exc}") from exc
