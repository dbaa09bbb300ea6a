from __future__ import annotations

import dataclasses

import pytest

from authsvc.channel import Caller
from tests.authsvc.listening import Listening


def test_a_handler_is_made_for_one_caller_and_knows_him(listening: Listening) -> None:
    with listening.open(account="atlas"):
        (caller,) = listening.callers
    assert (caller.identity.dn, caller.account, caller.peer) == (listening.pki.user_dn, "atlas", "127.0.0.1")


def test_a_caller_cannot_be_changed(listening: Listening) -> None:
    with listening.open():
        caller: Caller = listening.callers[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        caller.account = "root"  # type: ignore[misc]  # the point of the test
