from __future__ import annotations

import io
from dataclasses import dataclass

import pytest

from fdtcp.cli import progress
from fdtcp.cli.output import Log
from fdtcp.cli.progress import LiveDisplay, Meter, PlainDisplay, choose_display, describe
from fdtcp.model.job import Job, group
from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer
from fdtcp.stages import Stage
from fdtcp.thirdparty import Progress
from fdtcp.units import GIB

(JOB,) = group([Transfer(Pfn.parse(b"fdt://a/x"), Pfn.parse(b"fdt://b/x"))])


@dataclass
class Shown:
    progress: Progress
    job: Job = JOB


def part(moved: int, total: int, done: int = 0, failed: int = 0) -> Progress:
    return Progress(Stage.MOVING, 10, done, 0, failed, total, moved, ())


def test_the_rate_is_that_of_the_last_seconds() -> None:
    meter = Meter()
    assert meter.add(0.0, 0) == 0.0
    assert meter.add(1.0, 100) == 100.0
    for second in range(2, 20):
        rate = meter.add(float(second), 100)
    assert rate == 0.0


def test_it_says_bytes_rates_files_failures_and_what_is_left() -> None:
    assert describe([part(GIB, 2 * GIB, 3, 1), part(0, 0)], GIB / 10) == (
        "1.00 GiB of 2.00 GiB, 107 MB/s (859 Mbit/s), 4 of 20 files, 1 failed, 10 s to go"
    )
    assert "being made safe" in describe([part(GIB, GIB)], 1.0)
    assert "to go" not in describe([part(GIB, GIB, 10)], 1.0)
    assert "to go" not in describe([part(0, GIB)], 0.0)


def test_without_a_terminal_there_is_a_line_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    display = choose_display(Log(stream), [Shown(part(1, 2))])
    assert isinstance(display, PlainDisplay)
    with display:
        display.look()
        assert stream.getvalue() == ""
        monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
        display._next_at = 0.0
        display.look()
    assert "1 B of 2 B" in stream.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_there_is_a_bar_for_each_job(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [Shown(part(0, 0)), Shown(part(1, 4))]
    display = choose_display(Log(Terminal()), jobs)
    assert isinstance(display, LiveDisplay)
    with display:
        display.look()
        display._live.console.print(display._live.get_renderable())
    shown = capsys.readouterr().out
    assert "looking at the files" in shown
    assert "25%" in shown
    assert "1 B of 4 B" in shown
