"""S3 against a real server; the contract is in tests/contract."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest

from fdtd.storage import s3_store
from fdtd.storage.mapping import parse_target
from fdtd.storage.s3_store import S3Store
from tests.helpers.s3server import BUCKET, CREDENTIALS, request, s3_server

MIB = 1 << 20


@pytest.fixture(scope="module", autouse=True)  # before any test looks which processes there are
def endpoint() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        with s3_server() as found:
            yield found


@pytest.fixture
def store(endpoint: str, request: pytest.FixtureRequest) -> Iterator[S3Store]:
    found = S3Store(parse_target(f"s3://{BUCKET}/{request.node.name}?endpoint={endpoint}&region=us-east-1"))
    yield found
    found.close()


def uploads(endpoint: str) -> int:
    return request(endpoint, "GET", f"/{BUCKET}?uploads").count(b"<UploadId>")


def test_a_large_file_goes_in_parts_and_appears_at_once(
    store: S3Store, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "PART_BYTES", 5 * MIB)
    content = os.urandom(12 * MIB)
    upload = store.upload("file")
    for start in range(0, len(content), MIB):
        upload.append(content[start : start + MIB])
    upload.finish()
    assert (store.find("file"), uploads(endpoint)) == (None, 1)
    upload.publish(replace=False)
    found = store.find("file")
    assert found is not None and found.size == len(content)
    assert store.read("file", 5 * MIB - 3, 2 * MIB, found.tag) == content[5 * MIB - 3 : 7 * MIB - 3]
    assert uploads(endpoint) == 0


def test_what_is_given_up_leaves_no_parts(store: S3Store, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_store, "PART_BYTES", 5 * MIB)
    upload = store.upload("file")
    upload.append(bytes(6 * MIB))
    assert uploads(endpoint) == 1
    upload.discard()
    assert uploads(endpoint) == 0


@pytest.mark.parametrize("size", [10, 6 * MIB])
def test_s3_itself_refuses_to_replace(store: S3Store, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_store, "PART_BYTES", 5 * MIB)
    first, second = store.upload("file"), store.upload("file")
    for upload in (first, second):
        upload.append(bytes(size))
        upload.finish()
    with monkeypatch.context() as patch:
        patch.setattr(store, "find", lambda _: None)  # the other one comes after we looked
        first.publish(replace=False)
        with pytest.raises(FileExistsError):
            second.publish(replace=False)
        second.discard()
    found = store.find("file")
    assert found is not None and found.size == size


def test_what_waits_for_its_commit_takes_a_bounded_amount_of_memory(
    store: S3Store, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "HELD_BYTES", 250)
    waiting = [store.upload(f"file-{number}") for number in range(4)]
    for upload in waiting:
        upload.append(bytes(100))
        upload.finish()
    assert [len(upload._buffer) for upload in waiting] == [100, 100, 0, 0]
    assert uploads(endpoint) == 2
    for upload in waiting[1:]:
        upload.publish(replace=False)
    waiting[0].discard()
    found = [store.find(f"file-{number}") for number in range(4)]
    assert [one and one.size for one in found] == [None, 100, 100, 100]
    assert (store._held, uploads(endpoint)) == (0, 0)


def test_a_replaced_object_is_not_read_as_the_old_one(store: S3Store) -> None:
    for content in (b"first", b"other"):
        upload = store.upload("file")
        upload.append(content)
        upload.finish()
        upload.publish(replace=True)
        tag = found.tag if (found := store.find("file")) else ""
        if content == b"first":
            old = tag
    assert store.read("file", 0, 5, tag) == b"other"
    with pytest.raises(OSError, match="another version") as caught:
        store.read("file", 0, 5, old)
    assert caught.value.errno == errno.ESTALE


def test_a_bucket_that_is_not_there_is_an_error_when_written(endpoint: str) -> None:
    store = S3Store(parse_target(f"s3://nosuchbucket/?endpoint={endpoint}"))
    upload = store.upload("file")
    upload.finish()
    with pytest.raises(OSError, match=r"."):
        upload.publish(replace=True)
    store.close()
