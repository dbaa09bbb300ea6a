"""Writing to a store; the contract is in tests/contract."""

from __future__ import annotations

import errno

import pytest

from fdtcp.errors import FdtError
from fdtcp.model.order import Mapped
from fdtd.storage.mapping import PrefixMap
from fdtd.storage.stored_destination import StoredDestinations
from tests.helpers.fakestore import FakeStore

MAP = PrefixMap([Mapped(b"/cloud", "memory://")])
PATH = b"/cloud/file"


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


def put(store: FakeStore, data: bytes = b"content", *, replace: bool = False) -> str:
    partial = StoredDestinations(store, MAP).claim(PATH, 0o600, journal=False)
    try:
        partial.write(memoryview(data), 0)
        partial.accept(0, len(data), len(data))
        partial.dress(0o600, 1)
        partial.publish(replace=replace)
        return partial.promise
    finally:
        partial.close()


def test_the_store_says_what_safe_means(store: FakeStore) -> None:
    assert put(store) == "kept by the fake"
    assert store.uploads == 0


def test_what_is_complete_is_finished_before_it_waits_for_its_commit(store: FakeStore) -> None:
    partial = StoredDestinations(store, MAP).claim(PATH, 0o600, journal=False)
    for offset in (3, 0):
        partial.write(memoryview(b"abc"), offset)
        partial.accept(offset, 3, 6)
    store.fails["finish"] = OSError(errno.EIO, "too late")
    store.fails["append"] = OSError(errno.EIO, "too late")
    assert partial._upload._is_finished  # type: ignore[attr-defined]  # the fake's
    partial.remove()
    partial.close()


def test_of_two_transfers_the_later_one_is_refused(store: FakeStore) -> None:
    first = StoredDestinations(store, MAP).claim(PATH, 0o600, journal=False)
    put(store)
    first.dress(0o600, 1)
    with pytest.raises(FdtError) as caught:
        first.publish(replace=False)
    assert caught.value.code == "destination-exists"
    first.remove()
    first.close()
    assert store.objects["file"][0] == b"content"
    assert store.uploads == 0


def test_what_the_store_has_is_looked_at_before_it_is_called_safe(store: FakeStore) -> None:
    store.loses = 1
    with pytest.raises(FdtError) as caught:
        put(store)
    assert caught.value.code == "destination-failed"
    assert "6 bytes instead of 7" in caught.value.reason


@pytest.mark.parametrize("call", ["append", "finish", "publish", "find"])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PermissionError(errno.EACCES, "no"), "destination-unwritable"),
        (OSError(errno.ENOSPC, "no space"), "destination-full"),
        (NotADirectoryError(errno.ENOTDIR, "a file"), "destination-blocked"),
        (OSError(errno.EIO, "timed out"), "destination-failed"),
    ],
)
def test_errors_of_the_store_have_codes_at_every_step(store: FakeStore, call: str, error: OSError, code: str) -> None:
    store.fails[call] = error
    with pytest.raises(FdtError) as caught:
        put(store)
    assert caught.value.code == code
    assert store.uploads == 0


def test_what_was_compared_must_still_be_there_at_the_end(store: FakeStore) -> None:
    put(store)
    existing = StoredDestinations(store, MAP).open_existing(PATH)
    put(store, b"another", replace=True)
    with pytest.raises(FdtError) as caught:
        existing.publish(replace=False)
    assert caught.value.code == "destination-failed"
    existing.close()
