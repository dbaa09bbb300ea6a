from __future__ import annotations

from collections.abc import Iterator

from benchmarks.contest import Contest
from benchmarks.suites import DEFAULT, QUICK, SUITES, Scale
from benchmarks.targets import TARGETS
from benchmarks.wan import name_of


def contests(scale: Scale) -> Iterator[Contest]:
    # Contests over a long wire need the wire.
    return (contest for name, suite in SUITES.items() if name != "wan" for contest in suite(scale))


def test_every_target_has_its_contest_and_its_peers() -> None:
    held = {contest.name: {peer.label for peer in contest.peers} for contest in contests(Scale())}
    for target in TARGETS:
        if target.contest.startswith("wan"):
            continue
        assert target.ours in held[target.contest], target
        assert any(label.startswith(target.peer) for label in held[target.contest]), target
        assert not target.against or target.ours in held[target.against], target


def test_wires_are_called_as_in_the_targets() -> None:
    named = {name_of(rtt_s, loss) for rtt_s in (0.02, 0.05, 0.1) for loss in (0.0, 0.001)}
    assert named == {target.contest for target in TARGETS if target.contest.startswith("wan")}


def test_contests_and_the_peers_within_one_have_names_of_their_own() -> None:
    for scale in (Scale(), QUICK):
        held = list(contests(scale))
        assert len({contest.name for contest in held}) == len(held)
        for contest in held:
            assert len({peer.label for peer in contest.peers}) == len(contest.peers)


def test_the_default_has_all_contests_of_part_one() -> None:
    held = {contest.name for name in DEFAULT for contest in SUITES[name](Scale())}
    assert {target.contest for target in TARGETS if target.source.startswith("issue 3, part 1")} <= held
