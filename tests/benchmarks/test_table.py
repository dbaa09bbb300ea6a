from __future__ import annotations

from benchmarks.figures import Figure
from benchmarks.table import format_result, format_scaling, format_standings
from benchmarks.targets import judge
from tests.benchmarks.conftest import Make


def test_a_table_has_medians_intervals_costs_and_ratios(make_result: Make) -> None:
    result = make_result("large", fdtcp=[1.0, 0.5, 1.0], cp=[0.5, 0.5, 0.5])
    result.absent["rsync"] = "rsync not installed (Debian: rsync)"
    table = format_result(result)
    first, header, ours, peer, absent, _ = table.splitlines()
    assert first == "large: a title; medians of 3 rounds"
    assert header.split()[:2] == ["program", "rate"]
    assert ours.split() == [
        "fdtcp",
        "1.00",
        "GB/s",
        "1.00..2.00",
        "1.000",
        "s",
        "1.250",
        "s",
        "0.10",
        "0.50",
        "0.20",
        "70",
    ]
    assert peer.split()[-2:] == ["0.50", "0.50..1.00"]
    assert "not installed" in absent
    assert not any(line.endswith(" ") for line in table.splitlines())


def test_many_files_are_counted_by_file(make_result: Make) -> None:
    table = format_result(make_result("small", Figure.FILES, files=2000, fdtcp=[1.0]))
    assert "2,000 files/s" in table
    # 0.8 s of CPU for 2000 files
    assert table.splitlines()[2].split()[-2:] == ["400", "70"]


def test_standings_say_what_is_to_be_reached_and_how_it_stands(make_result: Make) -> None:
    results = {"large": make_result("large", fdtcp=[1.0], cp=[0.9])}
    table = format_standings(judge(results))
    line = next(line for line in table.splitlines() if ">= 0.85 x cp" in line)
    assert line.split()[-4:] == ["0.90", "0.90..0.90", "1", "met"]
    assert "not measured" in table


def test_contests_of_ours_alone_are_one_table(make_result: Make) -> None:
    streams = make_result("streams-4", fdtcp=[1.0])
    files = make_result("files-1000", Figure.FILES, files=1000, fdtcp=[1.0])
    tiny = make_result("tiny", Figure.WHOLE, fdtcp=[0.25])
    failed = make_result("files-1", Figure.FILES)
    _, _, *lines = format_scaling([streams, files, tiny, failed]).splitlines()
    assert [line.split() for line in lines] == [
        ["streams-4", "1.00", "GB/s", "0.80", "GB,", "s", "0.10", "0.50", "0.20", "70"],
        ["files-1000", "1,000", "files/s", "800", "file,", "us", "0.10", "0.50", "0.20", "70"],
        ["tiny", "0.500", "s", "800,000", "file,", "us", "0.10", "0.50", "0.20", "70"],
    ]
