"""Handing jobs over, as far as it goes without a daemon; tests/functional/test_detached.py has the rest."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from fdtcp.cli import config, transfer
from fdtcp.cli.arguments import parse_arguments
from fdtcp.cli.output import Log
from fdtcp.errors import FdtError, UsageError


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Be a user without a proxy and without a configuration."""
    monkeypatch.setenv("X509_USER_PROXY", str(tmp_path / "no-proxy"))
    monkeypatch.setattr(config, "DEFAULT_CONFIG", str(tmp_path / "none.conf"))
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> tuple[int, str]:
    stream = io.StringIO()
    with Log(stream) as log:
        return transfer.transfer(parse_arguments(arguments), log, lambda: False), stream.getvalue()


def test_a_job_that_cannot_be_delegated_fails_every_file_in_the_report() -> None:
    code, output = run("--delegate", "-r", "report", "--json", "result", "fdt://a/1", "fdt://b/1")
    assert code == 1
    assert Path("report").read_text().split()[:3] == ["fdt://a/1", "fdt://b/1", "1"]
    assert json.loads(Path("result").read_text())["problem"]["code"] == "bad-credential"
    assert "client, authenticate" in output


def test_a_job_that_cannot_be_detached_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FdtError, match="no-proxy"):
        run("--detach", "fdt://a/1", "fdt://b/1")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("how", ["--delegate", "--detach"])
def test_several_destinations_are_a_usage_error(how: str) -> None:
    Path("job").write_text("fdt://a/0 fdt://b/0\nfdt://c/1 fdt://d/1")
    with pytest.raises(UsageError, match="one destination"):
        run(how, "-f", "job")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--detach", "--delegate"),
        ("--detach", "--json", "x"),
        ("--detach", "--report", "x"),
        ("--delegate-hours", "3"),
        ("--detach", "--delegate-hours", "soon"),
        ("--detach", "--delegate-hours", "-1"),
        ("--detach", "--delegate-hours", "nan"),
        ("--detach", "--delegate-hours", "inf"),
    ],
)
def test_what_makes_no_sense_together_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        parse_arguments([*arguments, "fdt://a/1", "fdt://b/1"])


def test_a_lifetime_is_a_number_of_hours() -> None:
    line = parse_arguments(["--detach", "--delegate-hours", "1.5", "fdt://a/1", "fdt://b/1"])
    assert (line.is_detached, line.is_delegated, line.delegate_hours) == (True, False, 1.5)
