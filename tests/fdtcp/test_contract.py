from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdtcp import contract
from fdtcp.contract import (
    CALLS,
    Abort,
    About,
    AboutReply,
    Connect,
    Describe,
    DescribeReply,
    Done,
    Expect,
    ExpectReply,
    Finish,
    Listen,
    ListenReply,
    Release,
    Reply,
    Request,
    SetRate,
    SourceGone,
    Watch,
    WatchReply,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from fdtcp.errors import MoverDied, Phase, ProtocolViolation, Side
from fdtcp.model.order import (
    Action,
    DestinationFile,
    Endpoint,
    Extent,
    Found,
    KeptPartial,
    Outcome,
    Policy,
    ReleasedFile,
    SourceFile,
    State,
    StreamProgress,
    Verdict,
)

JOB = "ab" * 16
PROBLEM = MoverDied("killed").problem(Side.SOURCE, Phase.TRANSFER)
DIALOGUE: list[tuple[Request, Reply]] = [
    (About(), AboutReply("1.0.0", 1, "host", ("127.1.0.2",))),
    (
        Describe(JOB, Policy(), ("127.1.0.2",), (SourceFile(0, b"/\xff"),)),
        DescribeReply((Found(0, 5, 1, 0o644, PROBLEM),), ("127.1.0.2",)),
    ),
    (
        Expect(JOB, Policy(), (), (DestinationFile(0, b"/x", 5, 1, 0o644, b"fdt://a/x"),), last=True),
        ExpectReply((Verdict(0, Action.SEND, (Extent(0, 1, 2),)),)),
    ),
    (Listen(JOB, ()), ListenReply((Endpoint("127.1.0.3", 54321),), b"s" * 32)),
    (Connect(JOB, (Endpoint("127.1.0.3", 54321),), b"s" * 32), Done()),
    (Release(JOB, (ReleasedFile(0, Action.SEND),), last=False), Done()),
    (
        Watch(JOB, 0, 1.0, Side.SOURCE),
        WatchReply(
            1,
            (Outcome(0, State.DONE, 5, 5),),
            5,
            (StreamProgress(0, "a", "b", 5, alive=True),),
            ended=True,
            problem=PROBLEM,
            kept=(KeptPartial(b"/.x", 1),),
            rate=1000,
        ),
    ),
    (SetRate(JOB, 1000, Side.SOURCE), Done()),
    (SourceGone(JOB), Done()),
    (Finish(JOB), Done()),
    (Abort(JOB, discard=True, side=Side.DESTINATION), Done()),
]


@pytest.mark.parametrize(("request_", "reply"), DIALOGUE, ids=lambda item: type(item).__name__)
def test_calls_and_answers_cross_the_channel(request_: Request, reply: Reply) -> None:
    name, argument = encode_request(request_)
    wire = msgpack.unpackb(msgpack.packb([name, argument, encode_reply(reply)], use_bin_type=True))
    assert decode_request(wire[0], wire[1]) == request_
    assert decode_reply(request_, wire[2]) == reply


def test_the_dialogue_has_every_call() -> None:
    assert {type(request) for request, _ in DIALOGUE} == {request for request, _ in CALLS.calls.values()}
    assert all(type(reply) is CALLS.calls[encode_request(request)[0]][1] for request, reply in DIALOGUE)


@pytest.mark.parametrize(("request_", "reply"), DIALOGUE, ids=lambda item: type(item).__name__)
def test_no_secret_is_shown(request_: Request, reply: Reply) -> None:
    assert "ssss" not in repr(request_)
    assert "ssss" not in repr(reply)


def test_an_unknown_call_is_a_violation() -> None:
    with pytest.raises(ProtocolViolation, match="unknown call 'format'"):
        decode_request("format", {})


@given(st.sampled_from(sorted(CALLS.calls)), st.dictionaries(st.text(max_size=6), st.integers() | st.text(max_size=3)))
def test_no_client_can_make_a_daemon_fail_otherwise(name: str, argument: dict[str, object]) -> None:
    try:
        decode_request(name, argument)
    except ProtocolViolation:
        pass


def test_a_full_chunk_of_long_names_fits_into_a_message() -> None:
    count = contract.MAX_CHUNK_BYTES // 4096
    files = tuple(SourceFile(index, b"/" + b"x" * 4094) for index in range(count))
    _, argument = encode_request(Describe(JOB, Policy(), (), files))
    assert len(msgpack.packb(argument)) < 4 << 20
