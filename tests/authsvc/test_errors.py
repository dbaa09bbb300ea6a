from __future__ import annotations

import pytest

from authsvc import errors
from fdtcp.errors import Fault, FdtError, Status, all_error_classes

OURS = [cls for cls in all_error_classes() if cls.__module__ == errors.__name__]


@pytest.mark.parametrize("cls", OURS)
def test_every_error_says_whose_fault_it_is_and_none_is_a_bug(cls: type[FdtError]) -> None:
    assert cls.fault is not Fault.BUG
    assert cls.__doc__


def test_refused_people_get_the_status_of_permission() -> None:
    assert errors.NotMapped.status is Status.PERMISSION
    assert errors.AccountRefused.status is Status.PERMISSION


def test_only_what_passes_by_itself_is_retryable() -> None:
    assert {cls.code for cls in OURS if cls.retryable} == {
        "accounts-unknown",
        "channel-lost",
        "renewal-failed",
        "too-many-connections",
    }
