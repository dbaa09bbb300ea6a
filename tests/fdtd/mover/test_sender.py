"""What the answers on one stream mean."""

from __future__ import annotations

import pytest

from fdtcp.errors import Phase, ProtocolViolation, Side, SourceChanged
from fdtd.mover.frames import OF_BATCH, Header, Kind
from fdtd.mover.sender import (
    MOVES,
    WINDOW_FRAMES,
    Answered,
    Dropped,
    Farewell,
    Refused,
    RefusedSmall,
    State,
    StreamSender,
)
from fdtd.mover.work import AbortWork, BatchWork, BlockWork, EndWork, Work

BLOCK = BlockWork(3, 100, 50, payload=True)
BATCH = BatchWork((5, 6))
END = EndWork(3, 99)
ABORT = AbortWork(4, SourceChanged("x").problem(Side.SOURCE, Phase.TRANSFER))


def sender(*works: Work) -> StreamSender:
    machine = StreamSender()
    for work in works:
        machine.dealt(work)
    return machine


def test_answers_come_in_the_order_of_the_frames() -> None:
    machine = sender(BLOCK, BATCH, END, ABORT)
    assert machine.receive(Header(Kind.ACK, file=3, offset=100, length=50)) == Answered(BLOCK)
    assert machine.receive(Header(Kind.NAK, OF_BATCH, file=6, length=1)) == RefusedSmall(6)
    assert machine.receive(Header(Kind.ACK, OF_BATCH, file=0)) == Answered(BATCH)
    assert machine.receive(Header(Kind.ACK, file=3)) == Answered(END)
    assert machine.receive(Header(Kind.FILE_DONE, file=4)) == Dropped(4)
    assert not machine.is_idle
    assert machine.receive(Header(Kind.ACK, file=4)) == Answered(ABORT)
    assert machine.is_idle


def test_a_refused_block_is_to_be_sent_again() -> None:
    machine = sender(BLOCK)
    assert machine.receive(Header(Kind.NAK, file=3, offset=100, length=50)) == Refused(BLOCK)
    assert machine.is_idle


@pytest.mark.parametrize(
    "header",
    [
        Header(Kind.ACK, file=3, offset=100, length=51),
        Header(Kind.ACK, file=2, offset=100, length=50),
        Header(Kind.ACK, OF_BATCH, file=0),
        Header(Kind.NAK, OF_BATCH, file=3),
        Header(Kind.BLOCK, file=3, offset=100, length=50),
        Header(Kind.HELLO),
        Header(Kind.AUTH),
        Header(Kind.FILE_END, file=3),
    ],
)
def test_answers_to_something_else_are_violations(header: Header) -> None:
    with pytest.raises(ProtocolViolation):
        sender(BLOCK).receive(header)


def test_an_answer_to_nothing_is_a_violation() -> None:
    with pytest.raises(ProtocolViolation):
        sender().receive(Header(Kind.ACK))


def test_only_blocks_can_be_refused() -> None:
    with pytest.raises(ProtocolViolation):
        sender(END).receive(Header(Kind.NAK, file=3))
    with pytest.raises(ProtocolViolation):
        sender(BATCH).receive(Header(Kind.NAK, OF_BATCH, file=7))


def test_the_window_is_bounded() -> None:
    machine = sender(*[BLOCK] * WINDOW_FRAMES)
    room = [machine.has_room]
    machine.receive(Header(Kind.ACK, file=3, offset=100, length=50))
    room.append(machine.has_room)
    assert room == [False, True]
    machine.undealt()
    assert len(machine.unanswered) == WINDOW_FRAMES - 2


def test_after_farewell_nothing_may_come() -> None:
    machine = sender()
    assert machine.receive(Header(Kind.BYE)) == Farewell()
    assert machine.state is State.CLOSED and not machine.has_room
    with pytest.raises(ProtocolViolation):
        machine.receive(Header(Kind.BYE))


def test_who_leaves_hears_only_farewells() -> None:
    machine = sender()
    machine.leave()
    with pytest.raises(ProtocolViolation):
        machine.receive(Header(Kind.ACK))
    assert machine.receive(Header(Kind.BYE)) == Farewell()


def test_the_table_ends() -> None:
    assert all(state is not State.CLOSED for state, _ in MOVES)


def test_batches_are_numbered() -> None:
    machine = StreamSender()
    assert [machine.dealt(BATCH), machine.dealt(BLOCK), machine.dealt(BATCH)] == [0, 0, 1]
