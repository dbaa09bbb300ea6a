"""The figures by which files take memory are not below what they take."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence

from fdtcp.contract import Expect as ExpectCall
from fdtcp.contract import decode_request, encode_request
from fdtcp.errors import MoverDied, Phase, Side
from fdtcp.model.columns import Columns
from fdtcp.model.order import (
    Action,
    DestinationFile,
    Expected,
    Extent,
    Finals,
    Found,
    Kept,
    KeptPartial,
    Outcome,
    Policy,
    ReleasedFile,
    SourceFile,
    State,
    Verdict,
)
from fdtd.live import costs
from fdtd.sessions.book import DestinationBook, SourceBook

FILES = 5000


def taken_by(work: Callable[[], object]) -> int:
    """Return how many bytes are left behind by `work` in what it returns."""
    work()  # what is remembered for good, and once, is not these files'
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = work()
        after = tracemalloc.get_traced_memory()[0]
        del kept
        return after - before
    finally:
        tracemalloc.stop()


def expected() -> Sequence[DestinationFile]:
    files = tuple(
        DestinationFile(n, b"/data/%0100d" % n, 10**6 + n, 10**18 + n, 0o644, b"fdt://host/%0100d" % n)
        for n in range(1000, FILES)
    )
    request = decode_request(*encode_request(ExpectCall("a" * 32, Policy(), (), files, True)))
    assert isinstance(request, ExpectCall)
    return request.files


def expect_all(book: DestinationBook, files: Sequence[DestinationFile]) -> DestinationBook:
    for start in range(0, len(files), 1000):
        book.expect(files[start : start + 1000], last=False)
    # As when its owner has another session.
    assert book.is_waiting_for(files[7].path, files[7].source)
    return book


def end_all(book: DestinationBook, files: Sequence[DestinationFile]) -> DestinationBook:
    expect_all(book, files)
    book.judge([Verdict(file.index, Action.SEND) for file in files])
    book.finish(
        [
            Outcome(file.index, State.DONE, file.size, file.size, 0, f"adler32:{file.index:08x}", 1e9 + file.index)
            for file in files
        ]
    )
    return book


def test_a_destination_takes_no_more_than_it_is_charged_with() -> None:
    charged = costs.of_destinations(expected())
    taken = taken_by(lambda: end_all(DestinationBook(), expected()))
    waiting = taken_by(lambda: expect_all(DestinationBook(), expected()))
    assert max(taken, waiting) <= charged * 1.1


def test_a_source_takes_no_more_than_it_is_charged_with() -> None:
    files = [SourceFile(n, b"/d/%d" % n) for n in range(1000, FILES)]

    def describe() -> SourceBook:
        book = SourceBook()
        book.ask(files)
        book.answer([Found(file.index, 10**6 + file.index, 10**18 + file.index, 0o644) for file in files])
        book.release([ReleasedFile(file.index, Action.SEND) for file in files], last=True)
        return book

    assert taken_by(describe) <= costs.of_sources(files) * 1.1


def test_what_a_mover_adds_counts() -> None:
    problem = MoverDied("x" * 400).problem(Side.SOURCE, Phase.TRANSFER)
    extents = tuple(Extent(n, 1, 0) for n in range(10))
    told = costs.of_words(Expected(1, (Verdict(0, Action.SEND, extents),)))
    assert told == 10 * costs.EXTENT_BYTES + costs.VERDICT_BYTES
    assert costs.of_words(Expected(1, (Verdict(0, Action.SEND),))) == 0
    assert costs.of_words(Finals((Outcome(0, State.FAILED, 1, problem=problem), Outcome(1, State.DONE, 1)))) > 400
    assert costs.of_words(Kept((KeptPartial(b"/" + b"x" * 1000, 1),))) > 1000


def test_names_of_a_call_count_however_they_came() -> None:
    files = tuple(DestinationFile(n, b"/" + b"x" * 100, 1, 0, 0o644, b"y" * 50) for n in range(10))
    assert costs.of_names(files, "path", "source") == costs.IN_A_CALL * 10 * 151
    by_columns = costs.of_names(Columns.of(DestinationFile, files), "path", "source")
    assert by_columns == costs.IN_A_CALL * 10 * 153  # each name ends with a byte
