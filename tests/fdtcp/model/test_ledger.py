from __future__ import annotations

import pytest

from fdtcp.errors import (
    Abandoned,
    DestinationExists,
    MoverDied,
    Phase,
    ProtocolViolation,
    Side,
    SourceMissing,
    StreamsLost,
)
from fdtcp.model.ledger import Ledger
from fdtcp.model.order import Action, Extent, Found, Outcome, State, Verdict
from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer

MISSING = SourceMissing("gone").problem(Side.CLIENT, Phase.PREFLIGHT)
EXISTS = DestinationExists("there").problem(Side.CLIENT, Phase.PREFLIGHT)
LOST = StreamsLost("broke").problem(Side.DESTINATION, Phase.TRANSFER)
STOPPED = Abandoned("stopped").problem(Side.DESTINATION, Phase.TRANSFER)
DIED = MoverDied("killed").problem(Side.SOURCE, Phase.TRANSFER)
UNSAID = MoverDied("no word").problem(Side.DESTINATION, Phase.TRANSFER)


def ledger(files: int, chunk: int = 10, chunk_bytes: int = 1 << 20) -> Ledger:
    names = [b"%d" % number for number in range(files)]
    return Ledger(
        [Transfer(Pfn.parse(b"fdt://a/" + name), Pfn.parse(b"fdt://b/" + name)) for name in names], chunk, chunk_bytes
    )


def described(files: int, chunk: int = 10) -> Ledger:
    book = ledger(files, chunk)
    while asked := book.next_to_describe():
        book.note_found(asked, [Found(file.index, 5, 1, 0o644) for file in asked])
    return book


def expected(files: int) -> Ledger:
    book = described(files)
    while (said := book.next_to_expect()) is not None:
        book.note_verdicts(said[0], [Verdict(file.index, Action.SEND) for file in said[0]])
    return book


def test_files_go_through_pre_flight_in_chunks() -> None:
    book = ledger(25)
    sizes = []
    while asked := book.next_to_describe():
        sizes.append(len(asked))
        assert not book.is_described
        book.note_found(asked, [Found(file.index, 5, 1, 0o644) for file in reversed(asked)])
    assert sizes == [10, 10, 5]
    assert book.is_described
    assert book.total_bytes == 125
    chunks = []
    while (said := book.next_to_expect()) is not None:
        chunks.append((len(said[0]), said[1]))
        book.note_verdicts(said[0], [Verdict(file.index, Action.SEND) for file in said[0]])
    assert chunks == [(10, False), (10, False), (5, True)]
    released = []
    while (chunk := book.next_to_release()) is not None:
        released.append((len(chunk[0]), chunk[1]))
    assert released == [(10, False), (10, False), (5, True)]
    assert book.is_released


def test_long_names_make_small_chunks_but_never_none() -> None:
    book = ledger(3, chunk_bytes=1)
    assert [len(book.next_to_describe()) for _ in range(4)] == [1, 1, 1, 0]


def test_what_was_kept_counts_in_the_size_of_a_chunk() -> None:
    book = described(2, chunk=10)
    book._chunk_bytes = 1000
    said = book.next_to_expect()
    assert said is not None
    kept = (Extent(0, 1, 1),) * 30
    book.note_verdicts(said[0], [Verdict(file.index, Action.SEND, kept) for file in said[0]])
    first, last = book.next_to_release() or ((), True)
    assert (len(first), last) == (1, False)


def test_a_file_that_is_missing_is_final_at_once_and_not_expected() -> None:
    book = ledger(2)
    asked = book.next_to_describe()
    (outcome,) = book.note_found(asked, [Found(0, 0, 0, 0, MISSING), Found(1, 5, 1, 0o644)])
    assert (outcome.index, outcome.state) == (0, State.FAILED)
    assert outcome.problem == MISSING.on(Side.SOURCE)
    said = book.next_to_expect()
    assert said is not None
    assert [file.index for file in said[0]] == [1]


def test_the_destination_is_told_that_none_are_left() -> None:
    book = ledger(1)
    asked = book.next_to_describe()
    book.note_found(asked, [Found(0, 0, 0, 0, MISSING)])
    assert book.next_to_expect() == ((), True)
    assert book.next_to_expect() is None
    assert book.is_settled


def test_nothing_is_said_to_be_last_before_the_source_has_answered() -> None:
    book = ledger(20)
    asked = book.next_to_describe()
    assert book.next_to_expect() is None
    book.note_found(asked, [Found(file.index, 5, 1, 0o644) for file in asked])
    said = book.next_to_expect()
    assert said is not None
    assert not said[1]
    assert book.next_to_expect() is None


def test_files_that_are_skipped_or_refused_are_not_released() -> None:
    book = described(3)
    said = book.next_to_expect()
    assert said is not None
    verdicts = [Verdict(0, Action.SKIP), Verdict(1, Action.SEND, problem=EXISTS), Verdict(2, Action.COMPARE)]
    book.note_verdicts(said[0], verdicts)
    chunk, last = book.next_to_release() or ((), False)
    assert ([(file.index, file.action) for file in chunk], last) == ([(2, Action.COMPARE)], True)


def test_no_data_is_needed_when_all_is_skipped() -> None:
    book = described(1)
    said = book.next_to_expect()
    assert said is not None
    book.note_verdicts(said[0], [Verdict(0, Action.SKIP)])
    assert not book.needs_data


@pytest.mark.parametrize("indexes", [[], [0], [0, 1, 2], [0, 0], [0, 5]])
def test_an_answer_about_other_files_is_a_violation(indexes: list[int]) -> None:
    book = ledger(2)
    asked = book.next_to_describe()
    with pytest.raises(ProtocolViolation):
        book.note_found(asked, [Found(index, 5, 1, 0o644) for index in indexes])


def test_a_negative_size_is_a_violation() -> None:
    book = ledger(1)
    with pytest.raises(ProtocolViolation):
        book.note_found(book.next_to_describe(), [Found(0, -1, 1, 0o644)])


def test_the_first_outcome_of_a_file_counts() -> None:
    book = expected(1)
    assert book.note_outcomes([Outcome(0, State.DONE, 5)])
    assert not book.note_outcomes([Outcome(0, State.FAILED, 5, problem=EXISTS)])
    assert book.outcomes[0].state is State.DONE
    assert book.counts == {State.DONE: 1, State.SKIPPED: 0, State.FAILED: 0}


def test_outcomes_of_files_that_nobody_was_told_of_are_a_violation() -> None:
    with pytest.raises(ProtocolViolation):
        ledger(1).note_outcomes([Outcome(0, State.DONE, 5)])
    for indexes in ([2], [1, 2], [-1, 0], [0, 2]):
        with pytest.raises(ProtocolViolation):
            expected(2).note_outcomes([Outcome(index, State.DONE, 5) for index in indexes])


def test_a_file_that_is_done_with_another_size_is_not_believed() -> None:
    book = expected(1)
    (outcome,) = book.note_outcomes([Outcome(0, State.DONE, 4)])
    assert outcome.state is State.FAILED
    assert outcome.problem is not None
    assert "4 bytes" in outcome.problem.reason


def test_hearsay_waits_for_the_root_cause() -> None:
    book = expected(2)
    assert book.note_outcomes([Outcome(0, State.FAILED, 5, problem=LOST), Outcome(1, State.FAILED, 5)]) == ()
    assert book.has_hearsay
    assert book.is_settled
    told = book.finalize(DIED, UNSAID)
    assert [outcome.problem for outcome in told] == [DIED, DIED]


def test_hearsay_is_told_when_nobody_knows_better() -> None:
    book = expected(2)
    book.note_outcomes([Outcome(0, State.FAILED, 5, problem=LOST)])
    assert [outcome.problem for outcome in book.finalize(None, UNSAID)] == [LOST, UNSAID]


def test_the_hearsay_of_the_other_end_is_no_better() -> None:
    book = expected(1)
    book.note_outcomes([Outcome(0, State.FAILED, 5, problem=LOST)])
    assert [outcome.problem for outcome in book.finalize(STOPPED, UNSAID)] == [LOST]


def test_every_file_has_one_outcome_in_the_end() -> None:
    book = described(4)
    said = book.next_to_expect()
    assert said is not None
    book.note_verdicts(
        said[0], [Verdict(0, Action.SEND, problem=EXISTS), *(Verdict(i, Action.SEND) for i in (1, 2, 3))]
    )
    book.note_outcomes([Outcome(1, State.DONE, 5)])
    told = book.finalize(DIED, UNSAID)
    assert [(outcome.index, outcome.problem) for outcome in told] == [
        (0, EXISTS.on(Side.DESTINATION)),
        (2, DIED),
        (3, DIED),
    ]
    assert book.finalize(DIED, UNSAID) == ()
    assert sorted(book.outcomes) == [0, 1, 2, 3]


def test_the_source_does_not_run_far_ahead() -> None:
    book = ledger(30)
    asked = book.next_to_describe()
    book.note_found(asked, [Found(file.index, 5, 1, 0o644) for file in asked])
    assert not book.is_ahead
    asked = book.next_to_describe()
    book.note_found(asked, [Found(file.index, 5, 1, 0o644) for file in asked])
    assert book.is_ahead
