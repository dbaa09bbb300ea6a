from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest

from fdtcp.cli.output import Log, complain
from fdtcp.errors import BadCopyjob, UsageError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_has_times_and_a_terminal_has_not() -> None:
    stream, terminal = io.StringIO(), Terminal()
    Log(stream).say("hello")
    Log(terminal).say("hello")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d hello\n", stream.getvalue())
    assert terminal.getvalue() == "hello\n"


def test_the_log_file_is_appended_to_and_has_the_notes_too(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    stream = io.StringIO()
    with Log(stream) as log:
        log.add_file(str(path))
        log.say("said")
        log.note("noted")
    assert "noted" not in stream.getvalue()
    lines = path.read_text().splitlines()
    assert lines[0] == "before"
    assert lines[1].endswith(f"[{os.getpid()}] said")
    assert lines[2].endswith("noted")


def test_notes_are_said_when_debugging() -> None:
    stream = io.StringIO()
    Log(stream, is_debug=True).note("noted")
    assert "noted" in stream.getvalue()


def test_a_log_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write the log"):
        Log(io.StringIO()).add_file(str(tmp_path))


def test_a_reader_who_went_away_stops_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = open(writer, "w")  # noqa: SIM115  # closing it fails, which is the point
    log = Log(stream)
    log.say("nobody hears this")
    log.say("nor this")
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_what_the_stream_cannot_say_is_escaped() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Log(stream).say("Straße")
    assert b"Stra\\xdfe" in raw.getvalue()
    stream.detach()


def test_a_complaint_has_all_details_and_the_code(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    stream = io.StringIO()
    with Log(stream) as log:
        log.add_file(str(tmp_path / "log"))
        complain(BadCopyjob("two things", details=("line 1", "line 2")), log)
    errors = capfd.readouterr().err
    assert errors.splitlines()[0].startswith("fdtcp: two things; ")
    assert "[bad-copyjob]" in errors
    for text in (errors, stream.getvalue(), (tmp_path / "log").read_text()):
        assert "line 1" in text
        assert "line 2" in text
