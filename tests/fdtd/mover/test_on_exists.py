"""What becomes of a destination that exists, or comes to exist while its file is under way, with real movers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fdtcp.errors import Status
from fdtcp.model.order import Action, OnExists, Outcome, Policy, SameBy, State
from tests.helpers.movers import Job, Pair

MIB = 1 << 20
MINE = b"mine"
# One that travels in a batch, and one that travels in blocks.
SIZES = (1000, 2 * MIB)
KEEPING = (Policy(), Policy(on_exists=OnExists.FAIL), Policy(same_by=SameBy.SIZE))
REPLACING = (
    Policy(on_exists=OnExists.OVERWRITE),
    Policy(on_exists=OnExists.UPDATE, same_by=SameBy.TIME),
)


@pytest.fixture(params=SIZES)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "to").mkdir()
    (tmp_path / "source").write_bytes(os.urandom(request.param))
    return tmp_path / "source", tmp_path / "to/target"


def move(pair: Pair, policy: Policy, meanwhile: Callable[[], object]) -> Outcome:
    """Move a file; `meanwhile` is what happens between pre-flight and the first byte."""
    with Job([pair], policy) as job:
        job.describe()
        job.expect()
        meanwhile()
        job.connect()
        job.release()
        job.writer.wait_end()
        assert job.reader.wait_end().problem is None
        return job.writer.outcomes[0]


def code_of(outcome: Outcome) -> tuple[str, Status]:
    assert outcome.problem is not None
    return outcome.problem.code, outcome.problem.status


@pytest.mark.parametrize("policy", KEEPING)
def test_what_appears_meanwhile_is_never_replaced_unasked(pair: tuple[Path, Path], policy: Policy) -> None:
    _, target = pair
    outcome = move(pair, policy, lambda: target.write_bytes(MINE))
    assert code_of(outcome) == ("destination-exists", Status.EXISTS)
    assert target.read_bytes() == MINE
    assert os.listdir(target.parent) == ["target"]


@pytest.mark.parametrize("policy", REPLACING)
def test_what_appears_meanwhile_is_replaced_where_that_was_asked_for(pair: tuple[Path, Path], policy: Policy) -> None:
    source, target = pair
    assert move(pair, policy, lambda: target.write_bytes(MINE)).state is State.DONE
    assert target.read_bytes() == source.read_bytes()
    assert os.listdir(target.parent) == ["target"]


@pytest.mark.parametrize("policy", [*KEEPING, *REPLACING])
def test_a_directory_that_appears_meanwhile_stays(pair: tuple[Path, Path], policy: Policy) -> None:
    _, target = pair
    outcome = move(pair, policy, target.mkdir)
    assert outcome.state is State.FAILED and target.is_dir()
    assert os.listdir(target.parent) == ["target"]


@pytest.mark.parametrize("policy", REPLACING)
def test_what_was_to_be_replaced_and_vanishes_is_written(pair: tuple[Path, Path], policy: Policy) -> None:
    source, target = pair
    target.write_bytes(MINE)
    assert move(pair, policy, target.unlink).state is State.DONE
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("what", ["vanishes", "is replaced"])
def test_what_was_to_be_compared_and_is_another_file_now_is_not_called_the_same(
    pair: tuple[Path, Path], what: str
) -> None:
    source, target = pair
    target.write_bytes(source.read_bytes())

    def meanwhile() -> None:
        target.unlink()
        if what == "is replaced":
            target.write_bytes(bytes(source.stat().st_size))

    outcome = move(pair, Policy(), meanwhile)
    assert outcome.state is State.FAILED and outcome.problem is not None
    assert outcome.problem.retryable or code_of(outcome) == ("destination-exists", Status.EXISTS)
    assert target.exists() == (what == "is replaced")


def test_a_replaced_file_is_the_old_one_or_the_new_one_but_never_neither(pair: tuple[Path, Path]) -> None:
    source, target = pair
    target.write_bytes(MINE)
    with Job([pair], Policy(on_exists=OnExists.OVERWRITE)) as job:
        job.start()
        seen = set()
        while not job.writer.outcomes:
            seen.add(target.read_bytes())
            job.writer.hear()
        seen.add(target.read_bytes())
    assert seen <= {MINE, source.read_bytes()} and source.read_bytes() in seen


@pytest.mark.parametrize(("policy", "action"), [(OnExists.SKIP_SAME, Action.SKIP), (OnExists.UPDATE, Action.SKIP)])
def test_what_a_transfer_has_left_is_the_same_by_time(
    pair: tuple[Path, Path], policy: OnExists, action: Action
) -> None:
    source, target = pair
    assert move(pair, Policy(), lambda: None).state is State.DONE
    for _ in range(2):
        with Job([pair], Policy(on_exists=policy, same_by=SameBy.TIME)) as job:
            assert job.run()[0].state is State.SKIPPED
            assert job.verdicts[0].action is action
        os.chmod(target, 0o600)  # its time is what counts
    os.utime(source, ns=(7, 7))
    with Job([pair], Policy(on_exists=policy, same_by=SameBy.TIME)) as job:
        outcome = job.run()[0]
    if policy is OnExists.UPDATE:
        assert (outcome.state, target.stat().st_mtime_ns) == (State.DONE, 7)
    else:
        assert code_of(outcome) == ("destination-exists", Status.EXISTS)
