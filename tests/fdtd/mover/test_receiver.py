"""What has arrived, what may be written, when a file is complete: as dialogues."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdtcp.errors import ProtocolViolation
from fdtcp.model.order import Action, Checksum, DestinationFile, Extent
from fdtd.mover.arrival import MOVES, State
from fdtd.mover.frames import End, Entry
from fdtd.mover.receiver import MAX_REFUSALS, Fate, Receiver, Reply
from fdtd.mover.sums import sum_of

ADLER = sum_of(Checksum.ADLER32)
CONTENT = bytes(range(256)) * 40
SIZE = len(CONTENT)
MTIME = 77


def make(action: Action = Action.SEND, kept: tuple[Extent, ...] = ()) -> Receiver:
    receiver = Receiver(ADLER, ADLER)
    receiver.expect(DestinationFile(0, b"/to/file", SIZE, MTIME, 0o644, b"fdt://s/file"), action, kept)
    return receiver


def value(start: int = 0, end: int = SIZE) -> int:
    return zlib.adler32(CONTENT[start:end])


def end(checksum: int | None = None) -> End:
    return End(SIZE, MTIME, 1, value() if checksum is None else checksum)


def write(receiver: Receiver, start: int, stop: int, stream: int = 1) -> Reply:
    assert receiver.begin(stream, 0, start, stop - start) == (Fate.WRITE, set())
    return receiver.written(stream, 0, start, value(start, stop))


def state(receiver: Receiver) -> State:
    return receiver.arrivals[0].state


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_parts_in_any_order_make_a_file(order: tuple[int, ...]) -> None:
    receiver = make()
    cuts = [(0, 4000), (4000, 9000), (9000, SIZE)]
    for part in order:
        assert write(receiver, *cuts[part], stream=part) is Reply.ACK
        assert state(receiver) is State.RECEIVING
    assert receiver.ended(0, end()) is Reply.ACK
    assert state(receiver) is State.VERIFIED
    assert receiver.arrivals[0].value == value()


def test_the_end_may_come_before_the_last_part() -> None:
    receiver = make()
    write(receiver, 0, 5000)
    receiver.ended(0, end())
    assert state(receiver) is State.RECEIVING
    write(receiver, 5000, SIZE, stream=2)
    assert state(receiver) is State.VERIFIED


def test_a_part_that_is_there_is_not_written_again() -> None:
    receiver = make()
    write(receiver, 0, 5000)
    assert receiver.begin(2, 0, 0, 5000) == (Fate.DISCARD, set())
    assert receiver.discarded(0) is Reply.ACK
    assert receiver.arrivals[0].moved == 5000


def test_a_part_that_comes_on_another_stream_is_contested_until_the_first_is_gone() -> None:
    receiver = make()
    assert receiver.begin(1, 0, 0, 5000) == (Fate.WRITE, set())
    assert receiver.begin(2, 0, 0, 5000) == (Fate.CONTEST, {1})
    assert receiver.stream_lost(1) == {0}
    assert receiver.begin(2, 0, 0, 5000) == (Fate.WRITE, set())


def test_a_complete_file_belongs_to_no_stream() -> None:
    receiver = make()
    write(receiver, 0, 5000)
    receiver.begin(1, 0, 5000, SIZE - 5000)
    receiver.ended(0, end())
    assert state(receiver) is State.RECEIVING
    receiver.damaged(1, 0, 5000)
    assert state(receiver) is State.RECEIVING
    write(receiver, 5000, SIZE)
    assert state(receiver) is State.VERIFIED


@pytest.mark.parametrize(
    ("offset", "length"), [(0, SIZE + 1), (SIZE, 1), (4999, 2), (4000, 1000), (0, 4000), (0, SIZE), (1 << 62, 1)]
)
def test_parts_that_do_not_fit_are_violations(offset: int, length: int) -> None:
    receiver = make()
    write(receiver, 0, 5000)
    with pytest.raises(ProtocolViolation):
        receiver.begin(2, 0, offset, length)


def test_files_that_nobody_expects_are_violations() -> None:
    receiver = make()
    with pytest.raises(ProtocolViolation):
        receiver.begin(1, 1, 0, 1)
    with pytest.raises(ProtocolViolation):
        receiver.ended(9, end())
    with pytest.raises(ProtocolViolation):
        make(Action.COMPARE).begin(1, 0, 0, 1)
    with pytest.raises(ProtocolViolation):
        receiver.expect(receiver.arrivals[0].file, Action.SEND)


def test_damage_is_refused_a_few_times_and_then_fails_the_file() -> None:
    receiver = make()
    for _ in range(MAX_REFUSALS - 1):
        receiver.begin(1, 0, 0, 100)
        assert receiver.damaged(1, 0, 0) is Reply.NAK
    receiver.begin(1, 0, 0, 100)
    assert receiver.damaged(1, 0, 0) is Reply.DROP
    problem = receiver.arrivals[0].problem
    assert problem is not None and problem.code == "checksum-mismatch"
    assert receiver.begin(1, 0, 100, 100) == (Fate.DISCARD, set())
    assert receiver.discarded(0) is Reply.DROP


def test_a_wrong_sum_of_the_whole_fails_the_file() -> None:
    receiver = make()
    write(receiver, 0, SIZE)
    assert receiver.ended(0, end(checksum=1)) is Reply.DROP
    problem = receiver.arrivals[0].problem
    assert problem is not None and problem.code == "checksum-mismatch"


def test_a_sum_of_the_whole_from_before_a_refusal_waits_for_the_next() -> None:
    receiver = make()
    receiver.begin(1, 0, 0, SIZE)
    assert receiver.damaged(1, 0, 0) is Reply.NAK
    receiver.ended(0, end(checksum=1))
    assert write(receiver, 0, SIZE) is Reply.ACK
    assert state(receiver) is State.RECEIVING
    receiver.ended(0, end())
    assert state(receiver) is State.VERIFIED


def test_one_refusal_excuses_one_wrong_sum_only() -> None:
    receiver = make()
    receiver.begin(1, 0, 0, SIZE)
    receiver.damaged(1, 0, 0)
    write(receiver, 0, SIZE)
    assert receiver.ended(0, end(checksum=1)) is Reply.ACK
    assert receiver.ended(0, end(checksum=1)) is Reply.DROP


def test_an_empty_file_is_verified_only_when_it_has_come() -> None:
    receiver = Receiver(ADLER, ADLER)
    receiver.expect(DestinationFile(0, b"/to/file", 0, MTIME, 0o644, b"fdt://s/file"), Action.SEND)
    assert receiver.ended(0, End(0, MTIME, 1, zlib.adler32(b""))) is Reply.ACK
    assert state(receiver) is State.EXPECTED
    write(receiver, 0, 0)
    assert state(receiver) is State.VERIFIED


@pytest.mark.parametrize("changed", [End(SIZE + 1, MTIME, 1, value()), End(SIZE, MTIME + 1, 1, value())])
def test_a_changed_source_fails_the_file(changed: End) -> None:
    receiver = make()
    write(receiver, 0, SIZE)
    assert receiver.ended(0, changed) is Reply.DROP
    problem = receiver.arrivals[0].problem
    assert problem is not None and problem.code == "source-changed"


def test_a_void_part_is_answered_and_not_counted() -> None:
    receiver = make()
    receiver.begin(1, 0, 0, 100)
    assert receiver.void(1, 0, 0) is Reply.ACK
    assert receiver.begin(1, 0, 0, 100) == (Fate.WRITE, set())


def test_a_kept_part_counts_when_the_source_agrees_and_is_sent_when_not() -> None:
    receiver = make(kept=(Extent(0, 5000, value(0, 5000)), Extent(5000, 1000, 12345)))
    assert receiver.kept_sum(0, 0, 5000, value(0, 5000)) is Reply.ACK
    assert receiver.kept_sum(0, 5000, 1000, value(5000, 6000)) is Reply.NAK
    # A sum whose refusal was lost comes again; what has been taken back is not taken after all.
    assert receiver.kept_sum(0, 5000, 1000, 12345) is Reply.NAK
    write(receiver, 5000, 5500)
    write(receiver, 5500, SIZE)
    receiver.ended(0, end())
    assert state(receiver) is State.VERIFIED
    assert (receiver.arrivals[0].kept_bytes, receiver.arrivals[0].moved) == (5000, SIZE - 5000)


def test_a_compared_file_is_verified_when_all_of_it_is_equal() -> None:
    receiver = make(Action.COMPARE)
    assert receiver.may_compare(0, 0, 6000)
    assert receiver.compared(0, 0, 6000, value(0, 6000)) is Reply.ACK
    assert not receiver.may_compare(0, 0, 6000)
    receiver.compared(0, 6000, SIZE - 6000, value(6000))
    receiver.ended(0, end())
    assert state(receiver) is State.VERIFIED
    with pytest.raises(ProtocolViolation):
        receiver.may_compare(0, 6000, SIZE)


def test_small_files_must_be_what_was_expected() -> None:
    receiver = make()
    entry = Entry(0, SIZE, value(), MTIME)
    assert receiver.may_take_small(entry)
    with pytest.raises(ProtocolViolation):
        receiver.may_take_small(entry._replace(size=SIZE - 1))
    receiver.small_written(entry)
    assert state(receiver) is State.VERIFIED
    assert not receiver.may_take_small(entry)


def test_a_small_file_with_another_time_has_changed() -> None:
    receiver = make()
    receiver.small_written(Entry(0, SIZE, value(), MTIME + 1))
    problem = receiver.arrivals[0].problem
    assert problem is not None and problem.code == "source-changed"


def test_final_is_final() -> None:
    assert MOVES[State.FINAL] == set()
    receiver = make()
    receiver.finish(0)
    with pytest.raises(AssertionError):
        receiver.finish(0)


@given(st.integers(0, 1 << 30))
def test_with_dying_streams_and_damage_a_file_is_verified_exactly_when_it_is_covered(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  # a shuffle, not a secret
    receiver = make()
    cuts = [(start, min(start + 1000, SIZE)) for start in range(0, SIZE, 1000)]
    open_parts: dict[int, tuple[int, int]] = {}
    done: set[tuple[int, int]] = set()
    receiver.ended(0, end())
    while state(receiver) is not State.VERIFIED:
        stream = rng.choice([1, 2, 3])
        if stream in open_parts:
            start, stop = open_parts.pop(stream)
            fate = rng.random()
            if fate < 0.1:
                receiver.stream_lost(stream)
            else:
                assert receiver.written(stream, 0, start, value(start, stop)) is Reply.ACK
                done.add((start, stop))
        else:
            part = rng.choice(cuts)
            fate_of, rivals = receiver.begin(stream, 0, part[0], part[1] - part[0])
            if fate_of is Fate.CONTEST:
                for rival in rivals:
                    receiver.stream_lost(rival)
                    del open_parts[rival]
            elif fate_of is Fate.WRITE:
                open_parts[stream] = part
    assert done == set(cuts) and not open_parts


@pytest.mark.parametrize("action", [Action.SEND, Action.COMPARE])
def test_a_peer_cannot_make_us_remember_a_block_for_each_byte(action: Action) -> None:
    receiver = make(action)
    with pytest.raises(ProtocolViolation, match="blocks"):
        for offset in range(SIZE):
            if action is Action.SEND:
                write(receiver, offset, offset + 1)
            elif receiver.may_compare(0, offset, 1):
                receiver.compared(0, offset, 1, value(offset, offset + 1))
    assert len(receiver.arrivals[0].starts) < 1100
