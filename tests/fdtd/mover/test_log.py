"""Log lines are one line each, whatever is in them."""

from __future__ import annotations

import re

import pytest

from fdtd.mover.log import Log


def test_a_line_has_time_level_event_and_job(capfd: pytest.CaptureFixture[str]) -> None:
    Log("abc", "reader").event("stream-open", stream=3, local="127.0.0.1:5")
    line = capfd.readouterr().err
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(stamp + r" info stream-open job=abc role=reader stream=3 local=127\.0\.0\.1:5\n", line)


def test_hostile_values_stay_on_their_line(capfd: pytest.CaptureFixture[str]) -> None:
    Log().trouble("bad", path=b"/a\n\xff b", reason='x="y"\r\x1b[31m', empty="")
    line = capfd.readouterr().err
    assert line.count("\n") == 1 and "\x1b" not in line and "\r" not in line
    assert "empty=''" in line
