"""The words of a policy."""

from __future__ import annotations

import pytest

from fdtcp.model import order
from fdtcp.model.codec import decode_message, encode_message
from fdtcp.model.policy import Checksum, OnExists, Policy, SameBy, Sync, Verify


def test_a_policy_comes_back_from_the_wire() -> None:
    policy = Policy(Checksum.CRC32, Sync.FILE, OnExists.FAIL, SameBy.SIZE, streams=3, rate_limit=5)
    assert decode_message(Policy, encode_message(policy)) == policy


def test_who_has_the_orders_has_their_policy() -> None:
    assert order.Policy is Policy


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (Policy(), ""),
        (Policy(on_exists=OnExists.UPDATE, same_by=SameBy.TIME), ""),
        (Policy(on_exists=OnExists.UPDATE), "same-by=time"),
        (Policy(verify=Verify.DISK, checksum=Checksum.NONE), "checksum=none"),
        (Policy(verify=Verify.DISK, sync=Sync.NONE), "sync=none"),
    ],
)
def test_a_policy_says_what_cannot_be_had_together(policy: Policy, words: str) -> None:
    assert words in policy.contradiction and bool(words) == bool(policy.contradiction)
