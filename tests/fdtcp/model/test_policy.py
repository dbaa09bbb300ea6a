"""The words of a policy."""

from __future__ import annotations

from fdtcp.model import order
from fdtcp.model.codec import decode_message, encode_message
from fdtcp.model.policy import Checksum, OnExists, Policy, SameBy, Sync


def test_a_policy_comes_back_from_the_wire() -> None:
    policy = Policy(Checksum.CRC32, Sync.FILE, OnExists.FAIL, SameBy.SIZE, streams=3, rate_limit=5)
    assert decode_message(Policy, encode_message(policy)) == policy


def test_who_has_the_orders_has_their_policy() -> None:
    assert order.Policy is Policy
