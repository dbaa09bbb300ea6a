"""What a session knows of its files."""

from __future__ import annotations

import pytest

from fdtcp.errors import PathRefused, Phase, ProtocolViolation, Side
from fdtcp.model.order import (
    Action,
    DestinationFile,
    Extent,
    Found,
    Outcome,
    ReleasedFile,
    SourceFile,
    State,
    Verdict,
)
from fdtd.sessions.book import MAX_FILES, DestinationBook, SourceBook, check_indexes

REFUSED = PathRefused("no").problem(Side.SOURCE, Phase.PREFLIGHT)


def file(index: int) -> DestinationFile:
    return DestinationFile(index, b"/d/%d" % index, 10, 0, 0o644, b"fdt://s/%d" % index)


def test_only_files_that_were_found_can_be_released() -> None:
    book = SourceBook()
    book.ask([SourceFile(0, b"/a"), SourceFile(1, b"/b")])
    book.answer([Found(0, 1, 0, 0o644), Found(1, 0, 0, 0, REFUSED)])
    assert book.release([ReleasedFile(0, Action.SEND)], False) == [ReleasedFile(0, Action.SEND)]
    for index in (1, 2):
        with pytest.raises(ProtocolViolation):
            book.release([ReleasedFile(index, Action.SEND)], False)


def test_nothing_is_released_after_the_last() -> None:
    book = SourceBook()
    book.ask([SourceFile(0, b"/a"), SourceFile(1, b"/b")])
    book.answer([Found(0, 1, 0, 0o644), Found(1, 1, 0, 0o644)])
    book.release([ReleasedFile(0, Action.SEND)], True)
    with pytest.raises(ProtocolViolation):
        book.release([ReleasedFile(1, Action.SEND)], False)


def test_nothing_is_expected_after_the_last() -> None:
    book = DestinationBook()
    book.expect([file(0)], True)
    with pytest.raises(ProtocolViolation):
        book.expect([file(1)], False)


@pytest.mark.parametrize("found", [Found(0, -1, 0, 0o644), Found(0, 1, 0, 0o100644), Found(3, 1, 0, 0)])
def test_a_reader_cannot_say_what_cannot_be(found: Found) -> None:
    book = SourceBook()
    book.ask([SourceFile(0, b"/a")])
    with pytest.raises(ProtocolViolation):
        book.answer([found])


def test_answers_wait_for_the_last_of_them() -> None:
    book = DestinationBook()
    book.expect([file(0), file(1)], False)
    book.judge([Verdict(0, Action.SEND)])
    assert book.answers([file(0), file(1)]) is None
    assert book.answers([file(0)]) == (Verdict(0, Action.SEND),)


def test_the_extents_of_a_final_file_are_let_go() -> None:
    book = DestinationBook()
    book.expect([file(0)], False)
    book.judge([Verdict(0, Action.SEND, kept=(Extent(0, 5, 1),))])
    book.finish([Outcome(0, State.DONE, 10)])
    assert book.answers([file(0)]) == (Verdict(0, Action.SEND),)


def test_a_destination_is_waited_for_from_one_source_only() -> None:
    book = DestinationBook()
    book.expect([file(0)], True)
    assert book.is_waiting_for(b"/d/0", b"fdt://s/0")
    assert not book.is_waiting_for(b"/d/0", b"fdt://other/0")
    book.abandon(REFUSED)
    assert not book.is_waiting_for(b"/d/0", b"fdt://s/0")
    assert book.failed == [b"/d/0"]


def test_a_checksum_is_one_short_line() -> None:
    book = DestinationBook()
    book.expect([file(0)], True)
    new, _ = book.finish([Outcome(0, State.DONE, 10, checksum="x\n" * 1000)])
    assert "\n" not in new[0].checksum
    assert len(new[0].checksum) <= 160


def test_answers_that_come_twice_count_once() -> None:
    source = SourceBook()
    source.ask([SourceFile(0, b"/a"), SourceFile(5, b"/b")])
    first = [Found(0, 1, 2, 0o644), Found(5, 3, -4, 0o600)]
    assert source.answer([*first, Found(0, 9, 9, 0)]) == 1
    assert source.answer([Found(5, 9, 9, 0)]) == 1
    assert source.answers([SourceFile(5, b"/b"), SourceFile(0, b"/a")]) == first[::-1]
    book = DestinationBook()
    book.expect([file(0), file(1)], True)
    assert book.judge([Verdict(0, Action.COMPARE), Verdict(0, Action.SEND)]) == 1
    assert book.judge([Verdict(1, Action.SEND, window=7), Verdict(0, Action.SKIP)]) == 1
    assert book.answers([file(1), file(0)]) == (Verdict(1, Action.SEND, window=7), Verdict(0, Action.COMPARE))
    done = Outcome(0, State.DONE, 10)
    new, duplicates = book.finish([done, done])
    assert (list(new), duplicates) == ([done], 1)
    new, duplicates = book.finish([done, Outcome(1, State.DONE, 10)])
    assert (list(new), duplicates) == ([Outcome(1, State.DONE, 10)], 1)


@pytest.mark.parametrize("index", [-1, 2, MAX_FILES, 2**62])
def test_no_mover_speaks_of_files_that_are_not_of_its_job(index: int) -> None:
    source, destination = SourceBook(), DestinationBook()
    source.ask([SourceFile(0, b"/a"), SourceFile(1, b"/b")])
    destination.expect([file(0), file(1)], False)
    with pytest.raises(ProtocolViolation):
        source.answer([Found(0, 1, 0, 0), Found(index, 1, 0, 0)])
    with pytest.raises(ProtocolViolation):
        source.release([ReleasedFile(index, Action.SEND)], False)
    with pytest.raises(ProtocolViolation):
        destination.judge([Verdict(index, Action.SEND)])
    with pytest.raises(ProtocolViolation):
        destination.finish([Outcome(index, State.DONE, 10)])
    assert destination.waiting == 2


@pytest.mark.parametrize("indexes", [[0, 0], [-1], [MAX_FILES]])
def test_chunks_with_impossible_indexes_are_refused(indexes: list[int]) -> None:
    with pytest.raises(ProtocolViolation):
        check_indexes([SourceFile(index, b"/a") for index in indexes])
