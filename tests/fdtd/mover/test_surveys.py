"""Pre-flight reads a directory once for many small files: what happens to it meanwhile harms nobody."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fdtcp.model.order import Action, DestinationFile, Expect, Expected, OnExists, Outcome, Policy, SameBy, State
from fdtd.storage.names import journal_name, partial_name
from tests.helpers.movers import Job, Pair

FILES = 40
MINE = b"mine"
REPLACING = (Policy(on_exists=OnExists.OVERWRITE), Policy(on_exists=OnExists.UPDATE, same_by=SameBy.TIME))


@pytest.fixture
def pairs(tmp_path: Path) -> list[tuple[Path, Path]]:
    """Return small files, and where they shall go: a directory that exists."""
    (tmp_path / "to").mkdir()
    made = [(tmp_path / f"source{number}", tmp_path / f"to/{number}") for number in range(FILES)]
    for source, _ in made:
        source.write_bytes(os.urandom(1000))
    return made


def move(pairs: list[tuple[Path, Path]], policy: Policy, meanwhile: Callable[[], object]) -> dict[int, Outcome]:
    """Move files; `meanwhile` is what happens between the look at the first half of them and at the other."""
    with Job(list[Pair](pairs), policy) as job:
        job.describe()
        files = [
            DestinationFile(index, os.fsencode(target), 1000, job.found[index].mtime_ns, 0o644, os.fsencode(source))
            for index, (source, target) in enumerate(pairs)
        ]
        for seq, part in enumerate((files[: FILES // 2], files[FILES // 2 :])):
            job.writer.say(Expect(seq, part, last=seq == 1))
            job.verdicts |= {verdict.index: verdict for verdict in job.writer.wait_for(Expected).verdicts}
            if seq == 0:
                meanwhile()
        job.connect()
        job.release()
        job.writer.wait_end()
        assert job.reader.wait_end().problem is None
        return job.writer.outcomes


def make(pairs: list[tuple[Path, Path]]) -> None:
    for _, target in pairs:
        target.write_bytes(MINE)


@pytest.mark.parametrize("policy", [Policy(), Policy(on_exists=OnExists.FAIL), Policy(same_by=SameBy.SIZE)])
def test_what_appears_behind_a_survey_is_never_replaced_unasked(pairs: list[tuple[Path, Path]], policy: Policy) -> None:
    outcomes = move(pairs, policy, lambda: make(pairs[::3]))
    for index, (source, target) in enumerate(pairs):
        problem = outcomes[index].problem
        assert (problem.code if problem else "") == ("destination-exists" if index % 3 == 0 else "")
        assert target.read_bytes() == (source.read_bytes() if index % 3 else MINE)
    assert len(os.listdir(pairs[0][1].parent)) == FILES


@pytest.mark.parametrize("policy", REPLACING)
def test_what_appears_behind_a_survey_is_replaced_where_that_was_asked_for(
    pairs: list[tuple[Path, Path]], policy: Policy
) -> None:
    outcomes = move(pairs, policy, lambda: make(pairs[::3]))
    assert {outcome.state for outcome in outcomes.values()} == {State.DONE}
    assert all(target.read_bytes() == source.read_bytes() for source, target in pairs)
    assert len(os.listdir(pairs[0][1].parent)) == FILES


@pytest.mark.parametrize("policy", [Policy(), *REPLACING])
def test_a_directory_that_is_removed_behind_a_survey_is_made_again(
    pairs: list[tuple[Path, Path]], policy: Policy
) -> None:
    outcomes = move(pairs, policy, lambda: shutil.rmtree(pairs[0][1].parent))
    assert {outcome.state for outcome in outcomes.values()} == {State.DONE}
    assert all(target.read_bytes() == source.read_bytes() for source, target in pairs)


def test_another_jobs_files_in_the_same_directory_are_not_replaced(pairs: list[tuple[Path, Path]]) -> None:
    theirs: dict[int, Outcome] = {}
    ours = move(pairs, Policy(on_exists=OnExists.FAIL), lambda: theirs.update(move(pairs, Policy(), lambda: None)))
    assert {outcome.state for outcome in theirs.values()} == {State.DONE}
    assert {outcome.problem.code for outcome in ours.values() if outcome.problem} == {"destination-exists"}
    assert len(ours) == FILES and all(outcome.problem for outcome in ours.values())
    assert len(os.listdir(pairs[0][1].parent)) == FILES


def test_what_an_ended_attempt_left_is_found_by_a_survey(pairs: list[tuple[Path, Path]]) -> None:
    directory = pairs[0][1].parent
    for source, target in pairs[::2]:
        shutil.copy2(source, target)
    for name in (partial_name(b"1"), journal_name(b"1"), partial_name(b"3"), journal_name(b"5")):
        (directory / os.fsdecode(name)).write_bytes(MINE)
    with Job(list[Pair](pairs)) as job:
        outcomes = job.run()
        assert {index for index, one in job.verdicts.items() if one.action is Action.SEND} == set(range(1, FILES, 2))
    assert [outcomes[index].state for index in range(FILES)] == [State.SKIPPED, State.DONE] * (FILES // 2)
    assert sorted(os.listdir(directory)) == sorted(target.name for _, target in pairs)
    assert all(target.read_bytes() == source.read_bytes() for source, target in pairs)
