from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdtcp.errors import Fault, FdtError, InternalError, Phase, Problem, ProtocolViolation, Side, Status, one_line
from fdtcp.problem import MAX_REASON_CHARS, all_error_classes

PROBLEMS = st.builds(
    Problem,
    st.text(max_size=20).map(one_line),
    st.text(max_size=20).map(one_line),
    st.text(max_size=20).map(one_line),
    st.sampled_from(Side),
    st.sampled_from(Phase),
    st.sampled_from(Fault),
    st.booleans(),
    st.sampled_from(Status),
)


@given(PROBLEMS)
def test_what_is_encoded_is_decoded(problem: Problem) -> None:
    assert Problem.decode(problem.encode()) == problem


def test_it_says_side_phase_reason_remedy_and_code() -> None:
    problem = InternalError("it broke", remedy="mend it").problem(Side.SOURCE, Phase.COMMIT)
    assert str(problem) == "source, commit: it broke; mend it [internal]"


def test_a_peers_text_is_one_short_line() -> None:
    plain = InternalError("x").problem(Side.SOURCE, Phase.COMMIT).encode()
    decoded = Problem.decode({**plain, "reason": "a\nb\x1b[0m" + "c" * 9999})
    assert decoded.reason.startswith("a b [0mcc")
    assert len(decoded.reason) == MAX_REASON_CHARS


@pytest.mark.parametrize(
    "change",
    [
        {"code": 1},
        {"retryable": 1},
        {"side": "moon"},
        {"phase": None},
        {"fault": "nobody"},
        {"status": 7},
        {"status": "1"},
    ],
)
def test_what_is_no_problem_is_a_violation(change: dict[str, object]) -> None:
    plain = InternalError("x").problem(Side.SOURCE, Phase.COMMIT).encode()
    with pytest.raises(ProtocolViolation):
        Problem.decode({**plain, **change})


@given(st.none() | st.integers() | st.lists(st.integers()) | st.dictionaries(st.text(), st.text()))
def test_no_peer_can_make_it_fail_otherwise(value: object) -> None:
    with pytest.raises(ProtocolViolation):
        Problem.decode(value)


def test_the_raiser_knows_side_and_phase_better() -> None:
    error = InternalError("x", side=Side.DESTINATION, phase=Phase.VERIFY)
    problem = error.problem(Side.SOURCE, Phase.COMMIT)
    assert (problem.side, problem.phase) == (Side.DESTINATION, Phase.VERIFY)
    assert problem.on(Side.SOURCE).side is Side.SOURCE


def test_all_classes_are_found_below_their_root() -> None:
    assert {FdtError, InternalError, ProtocolViolation} <= set(all_error_classes())
