"""The calls about detached jobs, as plain values and back."""

from __future__ import annotations

import pytest

from fdtcp import contract, detached
from fdtcp.contract import Done
from fdtcp.detached import (
    Cancel,
    ChangeRate,
    DelegateBegin,
    DelegateBeginReply,
    DelegateFinish,
    DelegateFinishReply,
    Follow,
    FollowReply,
    Forget,
    Part,
    PeerName,
    Recall,
    RecallReply,
    Reply,
    Request,
    Step,
    Submit,
    Terms,
    Wanted,
)
from fdtcp.errors import Phase, ProtocolViolation, Side, Unreachable
from fdtcp.model.order import KeptPartial, Outcome, Policy, State, StreamProgress
from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer

JOB = "0" * 32
WANTED = Wanted(b"fdt://a/\xff", b"fdt://b/\xff", True)
TERMS = Terms(Policy(streams=3), ("192.0.2.1",), (), 5.0, "atlas", (PeerName("a", "/CN=a"),))
PART = Part(
    JOB,
    "moving",
    1,
    2,
    3,
    4,
    5,
    6.5,
    (StreamProgress(0, "a", "b", 5, True),),
    (Unreachable("gone").problem(Side.SOURCE, Phase.CONNECT),),
    (KeptPartial(b"/p", 7),),
    (Step("begun", 0.0),),
)


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (DelegateBegin(JOB), DelegateBeginReply(b"csr")),
        (DelegateFinish(JOB, (b"leaf", b"parent")), DelegateFinishReply(1.5)),
        (Submit(JOB, TERMS, 0, (WANTED,), True), Done()),
        (Follow(JOB, 3, 0.5), FollowReply(1, 1, (Outcome(0, State.DONE, 1),), True, False, 1.0, 2.0, 3.0, (PART,))),
        (Recall(JOB, 0), RecallReply((WANTED,))),
        (ChangeRate(JOB, 5), Done()),
        (Cancel(JOB), Done()),
        (Forget(JOB), Done()),
    ],
)
def test_calls_and_answers_survive_the_wire(request_: Request, reply: Reply) -> None:
    assert detached.decode_request(*detached.encode_request(request_)) == request_
    assert detached.decode_reply(request_, detached.encode_reply(reply)) == reply


def test_no_name_means_two_calls() -> None:
    assert not detached.CALLS.calls.keys() & contract.CALLS.calls.keys()


def test_unknown_calls_are_refused() -> None:
    with pytest.raises(ProtocolViolation):
        detached.decode_request("submit_everything", {})


def test_a_file_travels_as_the_user_wrote_it() -> None:
    transfer = Transfer(Pfn.parse(b"fdt://A:1//x"), Pfn.parse(b"fdt://b/y"), literal=True)
    assert Wanted.of(transfer) == Wanted(b"fdt://A:1//x", b"fdt://b/y", True)


def test_files_are_cut_into_messages() -> None:
    short = [Wanted(b"a", b"b", False)] * 2500
    assert len(list(detached.cut(short))) == contract.MAX_CHUNK
    long = [Wanted(b"a" * 4000, b"b" * 4000, False)] * 1000
    assert 200 < len(list(detached.cut(long))) < 300
    assert len(list(detached.cut([Wanted(b"a" * (3 << 20), b"", False)] * 2))) == 1
