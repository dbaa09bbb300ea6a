"""A store in memory that behaves: versions, refusals, failures on demand, and no patience with what is out of order."""

from __future__ import annotations

import errno
import threading

from fdtd.storage.store import Stored


class FakeStore:
    """See `fdtd.storage.store.Store`."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.uploads = 0  # begun and neither published nor discarded
        self.fails: dict[str, OSError] = {}  # call: what it raises from now on
        self.loses = 0  # so many bytes of each file disappear when it is published
        self._versions = 0
        self._lock = threading.Lock()

    def put(self, key: str, data: bytes) -> None:
        with self._lock:
            self._versions += 1
            self.objects[key] = (data, self._versions)

    def check(self, call: str) -> None:
        if call in self.fails:
            raise self.fails[call]

    def find(self, key: str) -> Stored | None:
        self.check("find")
        if key not in self.objects:
            return None
        data, version = self.objects[key]
        return Stored(len(data), 1_000_000_000, str(version))

    def read(self, key: str, offset: int, length: int, tag: str) -> bytes:
        self.check("read")
        if key not in self.objects:
            raise FileNotFoundError(errno.ENOENT, "gone", key)
        data, version = self.objects[key]
        if str(version) != tag:
            raise OSError(errno.ESTALE, "another version", key)
        return data[offset : offset + length]

    def upload(self, key: str) -> FakeUpload:
        self.uploads += 1
        return FakeUpload(self, key)

    def remove(self, key: str) -> None:
        self.check("remove")
        del self.objects[key]

    def close(self) -> None:
        """Nothing is held."""


class FakeUpload:
    """See `fdtd.storage.store.Upload`."""

    promise = "kept by the fake"

    def __init__(self, store: FakeStore, key: str) -> None:
        self._store = store
        self._key = key
        self._data = b""
        self._is_over = False
        self._is_finished = False
        self._appending = threading.Lock()

    def append(self, piece: bytes) -> None:
        assert self._appending.acquire(blocking=False), "one thread at a time"
        try:
            assert not self._is_finished, "nothing comes after the end"
            self._store.check("append")
            self._data += piece
        finally:
            self._appending.release()

    def finish(self) -> None:
        self._store.check("finish")
        self._is_finished = True

    def publish(self, *, replace: bool) -> None:
        assert self._is_finished, "finished before it is published"
        self._store.check("publish")
        if self._key in self._store.objects and not replace:
            raise FileExistsError(errno.EEXIST, "exists", self._key)
        self._store.put(self._key, self._data[: len(self._data) - self._store.loses])
        self._end()

    def discard(self) -> None:
        self._end()

    def _end(self) -> None:
        self._store.uploads -= not self._is_over
        self._is_over = True
