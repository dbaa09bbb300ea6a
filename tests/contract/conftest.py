"""The back ends that have to keep the contract: each with something in it, and a way to look at it from outside."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from fdtcp.model.order import Mapped
from fdtd.storage.base import Destinations, Partial, Sources
from fdtd.storage.choose import ChosenDestinations, ChosenSources
from fdtd.storage.mapping import PrefixMap
from fdtd.storage.null import NullDestinations
from fdtd.storage.opening import open_store
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_destination import PosixDestinations
from fdtd.storage.posix_source import PosixSources
from fdtd.storage.store import Store
from fdtd.storage.stored_destination import StoredDestinations
from fdtd.storage.stored_source import StoredSources
from tests.helpers.fakehdfs import fake_hdfs
from tests.helpers.fakestore import FakeStore
from tests.helpers.s3server import BUCKET, CREDENTIALS, s3_server

SIZE = 100_000

STORES = ("memory", "s3", "hdfs", "fake")


@dataclass
class SourceCase:
    """A back end with one file in it, and what the file contains."""

    sources: Sources
    path: bytes
    content: bytes
    missing: bytes | None


@dataclass
class DestinationCase:
    """A back end with room for one file, and how to read what is there (None: nothing)."""

    destinations: Destinations
    path: bytes
    read: Callable[[], bytes | None]
    keeps: bool = True  # what is written can be read again
    resumes: bool = False  # a later attempt can go on from what an earlier one has left
    dresses: bool = False  # mode and time are the source's
    in_order: bool = True  # it takes bytes in order only

    def write(self, partial: Partial, data: bytes, offset: int = 0, size: int = 0) -> None:
        """Write one block that is verified; `size`: of the whole file, if it is more than this block."""
        partial.write(memoryview(data), offset)
        partial.accept(offset, len(data), size or len(data))


@pytest.fixture(scope="session", autouse=True)  # before any test looks which processes there are
def s3_store() -> Iterator[Store]:
    """One client for all: making one takes longer than a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        with s3_server() as endpoint:
            store = open_store(f"s3://{BUCKET}/?endpoint={endpoint}")
            yield store
            store.close()


@pytest.fixture
def prefixes(tmp_path: Path) -> Iterator[Prefixes]:
    with Prefixes([os.fsencode(tmp_path)]) as found:
        yield found


@contextmanager
def made(kind: str, s3_store: Store) -> Iterator[Store]:
    """Yield a store of that kind; in each, keys begin with the name of a test's directory."""
    if kind == "s3":
        yield s3_store
    elif kind == "hdfs":
        with fake_hdfs() as server:
            store = open_store(f"webhdfs://127.0.0.1:{server.server_port}/base")
            yield store
            store.close()
    else:
        yield FakeStore() if kind == "fake" else open_store("memory://")


@pytest.fixture(params=["posix", "chosen", "zero", *STORES])
def source(request: pytest.FixtureRequest, prefixes: Prefixes, tmp_path: Path, s3_store: Store) -> Iterator[SourceCase]:
    content = os.urandom(SIZE)
    path, missing = os.fsencode(tmp_path / "file"), os.fsencode(tmp_path / "missing")
    sources: Sources
    if request.param in STORES:
        with made(request.param, s3_store) as store:
            upload = store.upload(f"{tmp_path.name}/file")
            upload.append(content)
            upload.finish()
            upload.publish(replace=False)
            yield SourceCase(StoredSources(store, PrefixMap([mapped(tmp_path)])), path, content, missing)
        return
    (tmp_path / "file").write_bytes(content)
    sources = PosixSources(prefixes) if request.param == "posix" else ChosenSources(prefixes, SIZE)
    if request.param == "zero":
        yield SourceCase(sources, b"/dev/zero", bytes(SIZE), None)
    else:
        yield SourceCase(sources, path, content, missing)
    sources.close()


@pytest.fixture(params=["posix", "chosen", "null", "sequential", *STORES])
def destination(
    request: pytest.FixtureRequest, prefixes: Prefixes, tmp_path: Path, s3_store: Store
) -> Iterator[DestinationCase]:
    target = tmp_path / "new/directory/file"
    path = os.fsencode(target)

    def read() -> bytes | None:
        return target.read_bytes() if target.exists() else None

    if request.param in STORES:
        with made(request.param, s3_store) as store:
            key = f"{tmp_path.name}/new/directory/file"

            def read_store() -> bytes | None:
                found = store.find(key)
                return store.read(key, 0, found.size, found.tag) if found is not None else None

            yield DestinationCase(StoredDestinations(store, PrefixMap([mapped(tmp_path)])), path, read_store)
            assert not isinstance(store, FakeStore) or store.uploads == 0, "an upload was left behind"
        return
    if request.param == "sequential":
        sequential = ChosenDestinations(prefixes, mapped=[Mapped(os.fsencode(tmp_path), "sequential")])
        case = DestinationCase(sequential, path, read, dresses=True)
    elif request.param == "null":
        case = DestinationCase(NullDestinations(), b"/dev/null", lambda: None, keeps=False, in_order=False)
    else:
        posix = PosixDestinations(prefixes) if request.param == "posix" else ChosenDestinations(prefixes)
        case = DestinationCase(posix, path, read, resumes=True, dresses=True, in_order=False)
    yield case
    case.destinations.close()


def mapped(tmp_path: Path) -> Mapped:
    """Return the prefix above a test's directory; the store is at hand already."""
    return Mapped(os.fsencode(tmp_path.parent), "memory://")
