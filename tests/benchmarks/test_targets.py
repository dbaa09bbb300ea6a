from __future__ import annotations

import pytest

from benchmarks.figures import Figure
from benchmarks.ratios import Verdict
from benchmarks.targets import NO_SUM, OURS, TARGETS, Target, is_wanted, judge
from tests.benchmarks.conftest import Make


def test_a_target_is_judged_by_the_best_of_the_peers_that_are_meant(make_result: Make) -> None:
    result = make_result("large", fdtcp=[1, 1], gridftp1=[4, 4], gridftp2=[2, 2], cp=[0.1, 0.1])
    (standing,) = judge({"large": result}, (Target("large", OURS, Figure.RATE, 1.3, "gridftp"),))
    assert (standing.peer, standing.verdict) == ("gridftp2", Verdict.MET)
    assert standing.estimate is not None
    assert standing.estimate.median == pytest.approx(2.0)


def test_gridftp_is_met_with_a_sum_at_both_ends_and_with_one_only_at_ours(make_result: Make) -> None:
    seconds = {
        "fdtcp": [1.0],
        "gridftp0-p01": [1.2],
        "gridftp0with0adler320-p01": [2.0],
        "gridftp0with0md50-p01": [9.0],
    }
    standings = judge({"large": make_result("large", **seconds)})
    found = {standing.peer: standing.verdict for standing in standings if standing.target.value == 1.3}
    assert found == {"gridftp with adler32 -p 1": Verdict.MET, "gridftp -p 1": Verdict.MISSED}


def test_the_best_of_a_limit_is_the_lowest(make_result: Make) -> None:
    result = make_result("tiny", fdtcp=[1], gridftp1=[4], gridftp2=[2])
    (standing,) = judge({"tiny": result}, (Target("tiny", OURS, Figure.WHOLE, 1.0, "gridftp", is_limit=True),))
    assert (standing.peer, standing.verdict) == ("gridftp2", Verdict.MET)


def test_a_target_without_a_peer_is_a_figure_of_our_own(make_result: Make) -> None:
    target = Target("large", NO_SUM, Figure.SOURCE_CPU, 0.1, is_limit=True)
    (standing,) = judge({"large": make_result("large", **{"fdtcp_no checksum": [1.0]})}, (target,))
    assert standing.verdict is Verdict.MET
    assert target.text == "<= 0.1 s/GB"


def test_a_cliff_is_seen_from_another_contest(make_result: Make) -> None:
    results = {
        "small": make_result("small", Figure.FILES, files=10, fdtcp=[1.0]),
        "many": make_result("many", Figure.FILES, files=100, fdtcp=[20.0]),
    }
    (standing,) = judge(results, (Target("many", OURS, Figure.FILES, 0.8, against="small"),))
    assert standing.verdict is Verdict.MISSED
    assert standing.estimate is not None
    assert standing.estimate.median == pytest.approx(0.5)


def test_what_was_not_measured_is_not_called_missed(make_result: Make) -> None:
    results = {"large": make_result("large", fdtcp=[1.0])}
    verdicts = {standing.verdict for standing in judge(results) if standing.target.peer}
    assert verdicts == {Verdict.UNKNOWN}
    assert not judge({})


def test_only_what_a_target_names_is_wanted() -> None:
    assert is_wanted("large", "gridftp -p 4")
    assert is_wanted("large", OURS)
    assert is_wanted("four", "gridftp with adler32 -cc 2, third party")
    assert not is_wanted("four", "gridftp with md5 -cc 2")
    assert not is_wanted("large", "tar | nc")
    assert not is_wanted("third-party-large", "gridftp -p 4")


def test_a_contest_that_others_are_compared_with_is_wanted() -> None:
    assert all(is_wanted(target.against, target.ours) for target in TARGETS if target.against)
