"""HDFS by REST and fsspec's memory; the contract is in tests/contract."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator

import pytest

from fdtd.storage import fsspec_store
from fdtd.storage.fsspec_store import HdfsStore, MemoryStore, TreeStore, told_as_os_error
from fdtd.storage.mapping import parse_target
from tests.helpers.fakehdfs import FakeHdfs, fake_hdfs


@pytest.fixture
def hdfs() -> Iterator[FakeHdfs]:
    with fake_hdfs() as server:
        yield server


@pytest.fixture
def store(hdfs: FakeHdfs) -> Iterator[HdfsStore]:
    found = HdfsStore(parse_target(f"webhdfs://127.0.0.1:{hdfs.server_port}/base"))
    yield found
    found.close()


def put(store: TreeStore, key: str, *pieces: bytes, replace: bool = False) -> None:
    upload = store.upload(key)
    for piece in pieces:
        upload.append(piece)
    upload.finish()
    try:
        upload.publish(replace=replace)
    except OSError:
        upload.discard()
        raise


def test_hdfs_is_asked_as_the_account_and_below_its_base(store: HdfsStore, hdfs: FakeHdfs) -> None:
    put(store, "a b/c#", b"content")
    assert hdfs.files == {"/base/a b/c#": b"content"}
    assert hdfs.users == {pwd.getpwuid(os.geteuid()).pw_name}


def test_many_pieces_are_appended_in_order(store: HdfsStore, hdfs: FakeHdfs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsspec_store, "APPEND_BYTES", 300)
    pieces = [os.urandom(100) for _ in range(10)]
    put(store, "file", *pieces)
    assert hdfs.files == {"/base/file": b"".join(pieces)}
    found = store.find("file")
    assert found is not None and store.read("file", 150, 100, found.tag) == b"".join(pieces)[150:250]


def test_a_rename_that_hdfs_refuses_by_false_is_no_success(
    store: HdfsStore, hdfs: FakeHdfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    hdfs.put("/base/file", b"theirs")
    monkeypatch.setattr(store, "find", lambda _: None)  # made after we looked
    with pytest.raises(FileExistsError):
        put(store, "file", b"ours")
    assert hdfs.files == {"/base/file": b"theirs"}


def test_the_old_file_is_there_until_the_new_one_is(store: HdfsStore, hdfs: FakeHdfs) -> None:
    hdfs.put("/base/file", b"old")
    put(store, "file", b"new", replace=True)
    assert (hdfs.files, hdfs.deleted) == ({"/base/file": b"new"}, [])


def test_what_hdfs_says_is_never_taken_for_content(store: HdfsStore) -> None:
    with pytest.raises(OSError, match="404"):
        store.read("missing", 0, 10, "")


def test_a_directory_is_no_file(store: HdfsStore, hdfs: FakeHdfs) -> None:
    hdfs.put("/base/directory/file", b"")
    with pytest.raises(IsADirectoryError):
        store.find("directory")


def test_who_may_not_write_hears_it_as_that(store: HdfsStore, hdfs: FakeHdfs) -> None:
    hdfs.readonly = True
    with pytest.raises(PermissionError):
        put(store, "file", b"content")


def test_requests_have_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsspec_store, "ANSWER_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = HdfsStore(parse_target(f"webhdfs://127.0.0.1:{silent.getsockname()[1]}/"))
        with pytest.raises(OSError, match="timed out"):
            store.find("file")
        store.close()


def test_nothing_but_os_errors_leaves(store: HdfsStore) -> None:
    with pytest.raises(OSError, match="KeyError"), told_as_os_error():
        raise KeyError(store)


def test_memory_is_a_tree_too() -> None:
    store = MemoryStore(parse_target("memory://host/test_memory_is_a_tree_too"))
    put(store, "a/b", b"content")
    put(store, "a/b", b"other", replace=True)
    found = store.find("a/b")
    assert found is not None and store.read("a/b", 0, 5, found.tag) == b"other"
    with pytest.raises(FileExistsError):
        put(store, "a/b", b"third")
    store.remove("a/b")
    assert store.find("a/b") is None
    store.close()
