from __future__ import annotations

import pytest

from fdtcp import errors
from fdtcp.errors import BadCopyjob, FdtError, Phase, RemoteProblem, Side, Status, UsageError

CLASSES = sorted(
    (cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, FdtError)),
    key=lambda cls: cls.__name__,
)


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls is not RemoteProblem], ids=lambda cls: str(cls.__name__))
def test_every_error_is_a_value_that_a_report_can_hold(cls: type[FdtError]) -> None:
    problem = cls("what happened").problem(Side.SOURCE, Phase.TRANSFER)
    assert problem.code == cls.code
    assert "what happened" in str(problem)
    assert problem.status in Status


def test_everything_is_exported_that_is_an_error() -> None:
    assert {cls.__name__ for cls in CLASSES} <= set(errors.__all__)


def test_only_usage_errors_have_the_exit_code_of_usage() -> None:
    assert all((cls.status is Status.USAGE) == issubclass(cls, UsageError) for cls in CLASSES)


def test_a_remote_problem_is_told_as_the_daemon_did_seen_from_its_side() -> None:
    remote = BadCopyjob("there").problem(Side.CLIENT, Phase.PREPARE)
    problem = RemoteProblem(remote).problem(Side.DESTINATION, Phase.CONNECT)
    assert (problem.code, problem.side, problem.phase) == ("bad-copyjob", Side.DESTINATION, Phase.PREPARE)


def test_a_usage_error_can_hold_all_that_is_wrong() -> None:
    error = BadCopyjob("two things", details=("line 1\nis bad", "line 2"))
    assert error.details == ("line 1 is bad", "line 2")
