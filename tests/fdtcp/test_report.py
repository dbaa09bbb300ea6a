"""The report and the exit code against BACKEND_CONTRACT.md, read as a PhEDEx-like caller reads them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdtcp.errors import (
    DestinationExists,
    DestinationUnwritable,
    FdtError,
    Interrupted,
    Phase,
    Problem,
    Side,
    SourceMissing,
    SourceUnreadable,
    Status,
    UsageError,
)
from fdtcp.model.columns import Columns
from fdtcp.model.order import Outcome, State
from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer, Transfers
from fdtcp.report import ReportFile, exit_code, format_line, format_lines, status_of, write_atomically


def transfer(name: bytes, *, literal: bool = True) -> Transfer:
    return Transfer(Pfn.parse(b"fdt://a/" + name), Pfn.parse(b"fdt://b/" + name), literal)


def failed(cls: type[FdtError], index: int = 0) -> Outcome:
    return Outcome(index, State.FAILED, 0, problem=cls("it is so").problem(Side.SOURCE, Phase.PREFLIGHT))


GOOD = Outcome(0, State.DONE, 5, 5, checksum="adler32:0a1b2c3d")
SKIPPED = Outcome(0, State.SKIPPED, 5)


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (GOOD, 0),
        (SKIPPED, 0),
        (failed(SourceMissing), 1),
        (failed(DestinationExists), 2),
        (failed(SourceUnreadable), 3),
        (failed(DestinationUnwritable), 3),
        (failed(UsageError), 1),  # no file has the status of a command
        (Outcome(0, State.FAILED, 0), 1),
    ],
)
def test_a_file_has_a_status_from_0_to_3(outcome: Outcome, status: int) -> None:
    assert status_of(outcome) == status


def test_a_storage_says_what_safe_means_there() -> None:
    line = format_line(transfer(b"x"), Outcome(0, State.DONE, 5, promise="stored by S3"))
    assert line.endswith(b" 0 done, 5 bytes (stored by S3)\n")


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([GOOD], 0),
        ([GOOD, SKIPPED], 0),
        ([failed(DestinationExists), GOOD], 2),
        ([failed(DestinationExists), failed(DestinationExists)], 2),
        ([failed(SourceUnreadable), failed(DestinationUnwritable), GOOD], 3),
        ([failed(DestinationExists), failed(SourceUnreadable)], 1),
        ([failed(SourceMissing)], 1),
        ([GOOD, None], 1),
        ([failed(DestinationExists), None], 1),
        ([], 1),
    ],
)
def test_the_exit_code_is_what_all_failures_share(outcomes: list[Outcome | None], code: int) -> None:
    assert exit_code(outcomes) == code


def test_a_report_that_could_not_be_written_is_no_success() -> None:
    assert exit_code([GOOD], is_report_whole=False) == 1


def test_a_line_is_what_a_caller_splits() -> None:
    line = format_line(transfer(b"/x"), GOOD)
    assert line == b"fdt://a//x fdt://b//x 0 done, 5 bytes adler32:0a1b2c3d\n"


def test_names_of_a_copyjobfile_are_repeated_byte_for_byte() -> None:
    line = format_line(transfer("Straße\xff".encode("latin-1")), GOOD)
    assert line.split(b" ")[0] == b"fdt://a/Stra\xdfe\xff"


def test_other_names_are_escaped() -> None:
    line = format_line(transfer("a b\n\tß%".encode(), literal=False), GOOD)
    assert line.split(b" ")[0] == b"fdt://a/a%20b%0A%09%C3%9F%"


@given(st.text(max_size=400), st.sampled_from(State))
def test_the_detail_is_one_short_line_of_ascii_and_never_just_0(reason: str, state: State) -> None:
    problem = Problem("code", reason, "", Side.SOURCE, Phase.COMMIT, SourceMissing.fault, False, Status.GENERAL)
    line = format_line(transfer(b"x"), Outcome(0, state, 0, problem=problem if state is State.FAILED else None))
    text = line.decode("ascii")
    source, destination, status, detail = text.rstrip("\n").split(" ", 3)
    assert (source, destination) == ("fdt://a/x", "fdt://b/x")
    assert status in ("0", "1")
    assert detail.strip() not in ("", "0")
    assert len(detail) <= 200
    assert text.count("\n") == 1


def test_lines_are_on_disk_as_soon_as_they_are_final(tmp_path: Path) -> None:
    path = tmp_path / "report"
    transfers = [transfer(b"0"), transfer(b"1")]
    with ReportFile(str(path)) as report:
        report.append(transfers, [Outcome(1, State.DONE, 5)])
        assert path.read_bytes().startswith(b"fdt://a/1 ")
        report.append(transfers, [failed(SourceMissing)])
        report.finish(transfers, [failed(SourceMissing), Outcome(1, State.DONE, 5)])
    assert [line.split()[0] for line in path.read_bytes().splitlines()] == [b"fdt://a/0", b"fdt://a/1"]


ODD = [
    GOOD,
    Outcome(1, State.DONE, 7),
    Outcome(1, State.DONE, 7, kept=3),
    Outcome(1, State.DONE, 7, promise="stored"),
    Outcome(1, State.DONE, 7, checksum="x\ny z"),
    Outcome(1, State.DONE, 7, checksum="a" * 300),
    SKIPPED,
    failed(SourceMissing),
]


@pytest.mark.parametrize("literal", [True, False])
@pytest.mark.parametrize("odd", ODD)
def test_lines_by_the_thousand_are_those_of_single_files(odd: Outcome, literal: bool) -> None:
    transfers = [transfer(b"%d \xff" % number, literal=literal) for number in range(3)]
    outcomes = [GOOD, odd, GOOD]
    lines = format_lines(Transfers.of(transfers), Columns.of(Outcome, outcomes))
    assert lines == b"".join(map(format_line, transfers, outcomes))


def test_an_old_report_does_not_pass_for_ours(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_text("fdt://a/0 fdt://b/0 0 done\n")
    with ReportFile(str(path)):
        assert path.read_bytes() == b""


def test_files_without_an_outcome_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "report"
    with ReportFile(str(path)) as report:
        report.finish([transfer(b"0"), transfer(b"1")], [None, GOOD])
    assert path.read_bytes().count(b"\n") == 1


def test_a_link_to_a_report_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("report")
    with ReportFile(str(tmp_path / "link")) as report:
        report.finish([transfer(b"0")], [GOOD])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "report").read_bytes()


def test_a_report_may_be_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with ReportFile(str(path)) as report:
            report.append([transfer(b"0")], [GOOD])
            report.finish([transfer(b"0")], [GOOD])
        assert os.read(reader, 1000).count(b"\n") == 1
    finally:
        os.close(reader)


def test_a_place_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write the report"):
        ReportFile(str(tmp_path / "nowhere" / "report"))
    with pytest.raises(UsageError, match="cannot write the report"):
        ReportFile(str(tmp_path))


def test_nobody_sees_half_a_file_and_its_mode_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o600)
    with path.open("rb") as old:
        write_atomically(str(path), [b"ne", b"w"])
        assert old.read() == b"old"
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    with pytest.raises(OSError):
        write_atomically(str(tmp_path / "dir"), [b"x"])
    assert os.listdir(tmp_path) == ["dir"]


def test_stopped_is_not_a_status_of_a_file() -> None:
    assert status_of(failed(Interrupted)) == 1
