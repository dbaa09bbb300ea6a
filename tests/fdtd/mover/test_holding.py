"""The order of a checkpoint, and what is worth keeping."""

from __future__ import annotations

import pytest

from fdtcp.errors import DestinationFailed, DestinationFull
from fdtcp.model.order import Checksum, DestinationFile, Extent, KeptPartial
from fdtd.mover.holding import Holding
from fdtd.mover.journal import decode_journal
from fdtd.storage.base import Facts
from fdtd.storage.null import NullPartial

FILE = DestinationFile(0, b"/to/file", 1000, 5, 0o644, b"s")


class FakePartial(NullPartial):
    """Records what is asked of it, and fails one step."""

    __slots__ = ("calls", "fails", "journal")

    def __init__(self, fails: str = "") -> None:
        super().__init__()
        self.calls: list[str] = []
        self.journal = b""
        self.fails = fails

    def _step(self, name: str) -> None:
        self.calls.append(name)
        if name == self.fails:
            raise DestinationFailed(name)

    def sync_data(self) -> None:
        self._step("sync data")

    def append_journal(self, data: bytes) -> None:
        self._step("append")
        self.journal += data

    def facts(self) -> Facts:
        return Facts(1000, 0, 0, 0, (1, 42))

    def remove(self) -> None:
        self.calls.append("remove")

    def close(self) -> None:
        self.calls.append("close")


def test_bytes_are_safe_before_the_journal_says_so() -> None:
    partial = FakePartial()
    holding = Holding(FILE, partial)
    holding.checkpoint([Extent(0, 100, 1)], Checksum.ADLER32)
    holding.checkpoint([Extent(100, 100, 2)], Checksum.ADLER32)
    assert partial.calls == ["sync data", "append", "sync data", "append"]
    assert decode_journal(partial.journal, None) == [Extent(0, 100, 1), Extent(100, 100, 2)]
    assert holding.safe == 200


def test_a_failed_sync_is_never_journalled() -> None:
    partial = FakePartial(fails="sync data")
    holding = Holding(FILE, partial)
    with pytest.raises(DestinationFailed):
        holding.checkpoint([Extent(0, 100, 1)], Checksum.ADLER32)
    assert partial.calls == ["sync data"] and holding.safe == 0


def test_after_a_failed_sync_nothing_is_kept_however_it_ended() -> None:
    """Not even what the journal said before: bytes that were synced once may be among those that are lost."""
    partial = FakePartial()
    holding = Holding(FILE, partial)
    holding.checkpoint([Extent(0, 100, 1)], Checksum.ADLER32)
    partial.fails = "sync data"
    with pytest.raises(DestinationFailed):
        holding.checkpoint([Extent(100, 100, 2)], Checksum.ADLER32)
    assert holding.let_go("destination-full", may_keep=True) is None
    assert partial.calls[-2:] == ["remove", "close"]


def test_a_disk_with_no_room_for_a_record_does_not_cost_what_was_noted_before() -> None:
    class FullPartial(FakePartial):
        def append_journal(self, data: bytes) -> None:
            if self.journal:
                raise DestinationFull("no room")
            super().append_journal(data)

    partial = FullPartial()
    holding = Holding(FILE, partial)
    holding.checkpoint([Extent(0, 100, 1)], Checksum.ADLER32)
    with pytest.raises(DestinationFull):
        holding.checkpoint([Extent(100, 100, 2)], Checksum.ADLER32)
    assert holding.let_go("destination-full", may_keep=True) == KeptPartial(partial.path, 100)


def test_a_journal_forgets_one_part_and_keeps_what_it_said_of_others() -> None:
    partial = FakePartial()
    holding = Holding(FILE, partial)
    holding.checkpoint([Extent(0, 100, 1), Extent(100, 100, 2)], Checksum.ADLER32)
    holding.forget(0)
    assert decode_journal(partial.journal, None) == holding.noted == [Extent(100, 100, 2)]
    partial.fails = "append"
    with pytest.raises(DestinationFailed):
        holding.forget(100)
    assert holding.let_go("abandoned", may_keep=True) is None


@pytest.mark.parametrize(
    ("code", "safe", "may_keep", "kept"),
    [
        ("streams-lost", 100, True, True),
        ("abandoned", 100, True, True),
        ("abandoned", 0, True, False),
        ("abandoned", 100, False, False),
        ("source-changed", 100, True, False),
        ("checksum-mismatch", 100, True, False),
        ("destination-failed", 100, True, False),
    ],
)
def test_only_what_a_later_attempt_can_continue_is_kept(code: str, safe: int, may_keep: bool, kept: bool) -> None:
    partial = FakePartial()
    noted = [Extent(0, safe, 1)] if safe else []
    left = Holding(FILE, partial, True, noted).let_go(code, may_keep=may_keep)
    assert left == (KeptPartial(partial.path, safe) if kept else None)
    assert partial.calls == (["close"] if kept else ["remove", "close"])


def test_a_checkpoint_is_due_after_its_time() -> None:
    holding = Holding(FILE, FakePartial(), checked=100.0)
    assert not holding.is_due(1000.0, 1.0, 3.0)
    holding.fresh.append(Extent(0, 1, 1))
    assert holding.is_due(101.0, 1.0, 3.0) and not holding.is_due(100.5, 1.0, 3.0)
    holding.has_journal = True
    assert holding.is_due(103.0, 1.0, 3.0) and not holding.is_due(102.0, 1.0, 3.0)
