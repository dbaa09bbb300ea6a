"""Reading from a store; the contract is in tests/contract."""

from __future__ import annotations

import errno
import os

import pytest

from fdtcp.errors import FdtError
from fdtcp.model.order import Mapped
from fdtd.storage import stored_source
from fdtd.storage.mapping import PrefixMap
from fdtd.storage.stored_source import StoredSources
from tests.helpers.fakestore import FakeStore

MAP = PrefixMap([Mapped(b"/cloud", "memory://")])


@pytest.fixture
def store() -> FakeStore:
    fake = FakeStore()
    fake.put("file", os.urandom(1000))
    return fake


def test_small_pieces_are_fetched_together(store: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_source, "FETCH_BYTES", 300)
    asked = []
    plain = store.read

    def read(key: str, offset: int, length: int, tag: str) -> bytes:
        asked.append(offset)
        return plain(key, offset, length, tag)

    monkeypatch.setattr(store, "read", read)
    source = StoredSources(store, MAP).open(b"/cloud/file")
    got = bytearray(1000)
    for offset in range(0, 1000, 100):
        assert source.read_into(memoryview(got)[offset : offset + 100], offset) == 100
    assert bytes(got) == store.objects["file"][0]
    assert asked == [0, 300, 600, 900]


def test_a_file_that_was_replaced_is_a_change_even_with_the_same_size_and_time(store: FakeStore) -> None:
    source = StoredSources(store, MAP).open(b"/cloud/file")
    store.put("file", bytes(1000))
    for act in (source.facts, lambda: source.read_into(memoryview(bytearray(10)), 0)):
        with pytest.raises(FdtError) as caught:
            act()
        assert caught.value.code == "source-changed"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PermissionError(errno.EACCES, "no"), "source-unreadable"),
        (IsADirectoryError(errno.EISDIR, "a directory"), "source-not-a-file"),
        (OSError(errno.EIO, "timed out"), "source-failed"),
        (FileNotFoundError(errno.ENOENT, "gone"), "source-missing"),
    ],
)
def test_errors_of_the_store_have_codes(store: FakeStore, error: OSError, code: str) -> None:
    store.fails["find"] = error
    with pytest.raises(FdtError) as caught:
        StoredSources(store, MAP).open(b"/cloud/file")
    assert caught.value.code == code


def test_less_than_was_asked_for_is_no_content(store: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    source = StoredSources(store, MAP).open(b"/cloud/file")
    monkeypatch.setattr(store, "read", lambda *_: b"<html>try again later</html>")
    with pytest.raises(FdtError) as caught:
        source.read_into(memoryview(bytearray(10)), 0)
    assert caught.value.code == "source-changed"
