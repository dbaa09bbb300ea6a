"""What is written down of detached jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fdtcp.detached import Part, Wanted
from fdtcp.errors import DestinationFull, Phase, Side
from fdtcp.model.order import KeptPartial, Outcome, State
from fdtd.detached.store import DetachedStore, StoredJob
from fdtd.errors import StateFailed

FULL = DestinationFull("no space").problem(Side.DESTINATION, Phase.COMMIT)
PART = Part("b" * 32, "moving", 0, 0, 0, 0, 0, 0.0, kept=(KeptPartial(b"/\xff", 3),), problems=(FULL,))
FILES = [Wanted(b"fdt://a/\xff", b"fdt://b/%d" % n, n % 2 == 0) for n in range(3)]


def job(dn: str = "/CN=me", name: str = "a" * 32) -> StoredJob:
    return StoredJob(0, dn, "alice", name, 100.0, 200.0, 3, (PART,), None, 0.0, cancelled=False)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DetachedStore]:
    with closing(DetachedStore(str(tmp_path))) as one:
        yield one


def test_a_job_is_found_by_its_owner_only_with_all_its_files(store: DetachedStore) -> None:
    number = store.begin(job(), FILES)
    found = store.find("/CN=me", "a" * 32)
    assert found is not None
    assert (found.id, found.account, found.files, found.parts, found.ended) == (number, "alice", 3, (PART,), None)
    assert store.find("/CN=other", "a" * 32) is None
    assert store.wanted(number, 0, 10) == FILES
    assert store.wanted(number, 1, 1) == FILES[1:2]


def test_two_owners_may_have_jobs_of_one_name(store: DetachedStore) -> None:
    assert store.begin(job(), FILES) != store.begin(job(dn="/CN=other"), FILES)
    with pytest.raises(StateFailed):
        store.begin(job(), FILES)


def test_the_first_end_of_a_file_counts_and_order_is_that_of_ending(store: DetachedStore) -> None:
    number = store.begin(job(), FILES)
    store.record(number, [Outcome(2, State.DONE, 5, 5, 0, "adler32:1", 3.0, promise="p")])
    store.record(number, [Outcome(2, State.FAILED, 5, problem=FULL), Outcome(0, State.FAILED, 5, problem=FULL)])
    assert [(one.index, one.state) for one in store.outcomes(number, 0, 9)] == [(2, State.DONE), (0, State.FAILED)]
    assert store.outcomes(number, 1, 9)[0].problem == FULL
    assert store.without_end(number) == [1]


def test_an_ended_job_is_kept_for_its_time(store: DetachedStore) -> None:
    number = store.begin(job(), FILES)
    store.begin(job(name="c" * 32), FILES)
    assert len(store.unfinished()) == 2
    store.end(number, [PART], 1000.0, 12.5, cancelled=True)
    found = store.find("/CN=me", "a" * 32)
    assert found is not None
    assert (found.ended, found.seconds, found.cancelled) == (1000.0, 12.5, True)
    assert store.purge(999.0) == 0
    assert store.purge(1001.0) == 1
    assert store.find("/CN=me", "a" * 32) is None
    assert store.wanted(number, 0, 10) == []
    assert [one.job for one in store.unfinished()] == ["c" * 32]


def test_a_spoilt_file_is_said_to_be_one(store: DetachedStore) -> None:
    store.begin(job(), FILES)
    with store.transaction() as db:
        db.execute("UPDATE jobs SET parts = '[]'")
    with pytest.raises(StateFailed, match="parts"):
        store.find("/CN=me", "a" * 32)
