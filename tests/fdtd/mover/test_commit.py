"""A file is done only after its syncs, whichever step fails: the fake disk records every step and can fail any."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from fdtcp.errors import DestinationFailed, FdtError
from fdtcp.model.order import Sync
from fdtd.mover.commit import Item, commit
from fdtd.storage.base import Volume

FILES = ("a", "b", "c")


class FakeDisk:
    """Remembers what was asked of it, what is safe, and fails one step."""

    is_shared = True

    def __init__(self, fail_at: int = -1) -> None:
        self.calls: list[str] = []
        self.fail_at = fail_at
        self.safe_bytes: set[str] = set()  # files whose bytes, mode and time are safe
        self.named: set[str] = set()
        self.safe_names: set[str] = set()

    def step(self, call: str) -> None:
        self.calls.append(call)
        if len(self.calls) - 1 == self.fail_at:
            raise DestinationFailed(call)

    def sync(self) -> None:
        self.step("sync volume")
        self.safe_bytes |= set(self.dressed)
        self.safe_names |= self.named

    dressed: set[str]


class FakePartial:
    promise = ""
    is_shared = False

    def __init__(self, disk: FakeDisk, name: str) -> None:
        self.disk, self.name = disk, name

    @property
    def volume(self) -> Volume:
        return self.disk

    def dress(self, mode: int, mtime_ns: int) -> None:
        self.disk.step(f"dress {self.name} {mode:o} {mtime_ns}")
        self.disk.dressed.add(self.name)

    def sync(self) -> None:
        self.disk.step(f"sync {self.name}")
        self.disk.safe_bytes.add(self.name)

    def publish(self, *, replace: bool) -> None:
        self.disk.step(f"publish {self.name} {replace}")
        self.disk.named.add(self.name)

    def sync_name(self) -> None:
        self.disk.step(f"sync name {self.name}")
        self.disk.safe_names.add(self.name)

    def check_place(self, seen: dict[object, bool]) -> None:
        assert isinstance(seen, dict)
        self.disk.step(f"look for {self.name}")

    def settle(self) -> None:
        self.disk.calls.append(f"settle {self.name}")

    def retract(self) -> None:
        self.disk.calls.append(f"retract {self.name}")
        self.disk.named.discard(self.name)

    def remove(self) -> None:
        self.disk.calls.append(f"remove {self.name}")

    def close(self) -> None:
        self.disk.calls.append(f"close {self.name}")


def run(
    sync: Sync, fail_at: int = -1, *, replace: bool = False
) -> tuple[FakeDisk, dict[int, FdtError | None], list[Volume]]:
    disk = FakeDisk(fail_at)
    disk.dressed = set()
    lost: list[Volume] = []
    items = [Item(index, FakePartial(disk, name), 0o640, 7, replace=replace) for index, name in enumerate(FILES)]
    results = commit(items, sync, lambda volume, _error: lost.append(volume))
    return disk, {item.file: error for item, error in results}, lost


def test_an_epoch_is_two_syncs_for_all_files() -> None:
    disk, results, _ = run(Sync.BATCH)
    assert disk.calls == [
        "dress a 640 7",
        "dress b 640 7",
        "dress c 640 7",
        "sync volume",
        "publish a False",
        "publish b False",
        "publish c False",
        "sync volume",
        "look for a",
        "look for b",
        "look for c",
        "settle a",
        "settle b",
        "settle c",
    ]
    assert set(results.values()) == {None}


def test_with_the_policy_file_each_file_and_directory_is_synced() -> None:
    disk, _, _ = run(Sync.FILE)
    assert [call for call in disk.calls if call.endswith(" a") or " a " in call] == [
        "dress a 640 7",
        "sync a",
        "publish a False",
        "sync name a",
        "look for a",
        "settle a",
    ]


def test_without_syncs_files_are_only_put_in_place() -> None:
    disk, results, _ = run(Sync.NONE)
    assert not [call for call in disk.calls if call.startswith("sync")]
    assert set(results.values()) == {None}


def every_failure() -> Iterator[tuple[Sync, int]]:
    for sync in Sync:
        disk, _, _ = run(sync)
        for at in range(len([call for call in disk.calls if not call.startswith("settle")])):
            yield sync, at


@pytest.mark.parametrize(("sync", "fail_at"), list(every_failure()))
def test_whatever_fails_no_file_is_called_done_before_it_is_safe(sync: Sync, fail_at: int) -> None:
    disk, results, lost = run(sync, fail_at)
    assert any(results.values()), "a step that failed fails at least one file"
    for index, name in enumerate(FILES):
        if results[index] is None:
            assert name in disk.named
            if sync is not Sync.NONE:
                assert name in disk.safe_bytes and name in disk.safe_names
        else:
            # Nothing stays under its final name that is not known to be safe.
            assert name not in disk.named
            assert {f"retract {name}", f"remove {name}"} & set(disk.calls)
    if disk.calls[fail_at] == "sync volume":
        assert all(results.values()), "a failed sync fails every file of its volume"
        assert lost == [disk]


def names(check: Callable[[str], bool], disk: FakeDisk) -> list[str]:
    return [call for call in disk.calls if check(call)]


def test_a_file_that_may_have_replaced_another_stays_when_its_name_cannot_be_made_safe() -> None:
    """The older one is gone; the new one is whole, and its bytes were synced."""
    last_sync = run(Sync.BATCH, replace=True)[0].calls.index("look for a") - 1
    disk, results, _ = run(Sync.BATCH, last_sync, replace=True)
    assert all(results.values())
    assert disk.named == disk.safe_bytes == set(FILES)
    assert not names(lambda call: call.startswith(("retract", "remove")), disk)


def test_a_failed_sync_is_never_tried_again() -> None:
    disk, _, _ = run(Sync.BATCH, 3)
    assert names(lambda call: call == "sync volume", disk) == ["sync volume"]
    assert not names(lambda call: call.startswith("publish"), disk)
