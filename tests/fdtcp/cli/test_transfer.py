"""The order of a run, seen through its exit codes, its output and its report; no daemon is needed."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from fdtcp.cli import config, transfer
from fdtcp.cli.arguments import parse_arguments
from fdtcp.cli.output import Log
from fdtcp.errors import BadCopyjob, BadPfn, BadSettings, FdtError, UsageError


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


def refused(kind: type[FdtError], *arguments: str) -> FdtError:
    with pytest.raises(kind) as caught:
        run(*arguments)
    return caught.value


def test_without_a_proxy_every_file_fails_and_the_report_is_whole() -> None:
    Path("job").write_text("fdt://a//0 fdt://b/0\nfdt://c/1 fdt://d/1")
    code, output = run("-f", "job", "-r", "report", "--json", "result", "-l", "log", "--monID", "M")
    assert code == 1
    lines = Path("report").read_text().splitlines()
    assert [line.split()[:3] for line in lines] == [["fdt://a//0", "fdt://b/0", "1"], ["fdt://c/1", "fdt://d/1", "1"]]
    assert "no-proxy" in lines[0]
    result = json.loads(Path("result").read_text())
    assert (result["exit_code"], result["monitor_id"], result["problem"]["code"]) == (1, "M", "bad-credential")
    assert output.count("FAILED") == 1
    assert "exit code 1" in Path("log").read_text()


def test_a_bad_copyjob_moves_nothing_and_leaves_an_empty_report() -> None:
    Path("job").write_text("fdt://a/0 fdt://b/0\nbad\n")
    Path("report").write_text("fdt://a/0 fdt://b/0 0 of yesterday\n")
    error = refused(BadCopyjob, "-f", "job", "-r", "report")
    assert "line 2" in error.reason
    assert Path("report").read_bytes() == b""


def test_bad_names_options_and_files_are_usage_errors() -> None:
    refused(BadPfn, "a", "b")
    refused(BadCopyjob, "-f", "nowhere")
    refused(BadCopyjob, "-f", ".")
    refused(BadSettings, "-c", "nowhere", "fdt://a/0", "fdt://b/0")
    refused(UsageError, "--streams", "many", "fdt://a/0", "fdt://b/0")
    refused(UsageError, "-r", "nowhere/report", "fdt://a/0", "fdt://b/0")
    refused(UsageError, "-l", "nowhere/log", "fdt://a/0", "fdt://b/0")


@pytest.mark.parametrize("option", ["--report", "--json", "--logFile"])
def test_the_copyjob_is_not_written_over(option: str) -> None:
    Path("job").write_text("fdt://a/0 fdt://b/0")
    assert "the same file" in refused(UsageError, "-f", "job", option, "./job").reason
    assert Path("job").read_text() == "fdt://a/0 fdt://b/0"


def test_a_copyjob_that_is_too_large_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "MAX_COPYJOB_BYTES", 10)
    Path("job").write_text("fdt://a/0 fdt://b/0")
    assert "cut it" in refused(BadCopyjob, "-f", "job").remedy


def test_options_without_meaning_get_one_warning() -> None:
    _, output = run("--xms", "1g", "--xmx", "2g", "fdt://a/0", "fdt://b/0")
    assert output.count("warning") == 1
    assert "--xms, --xmx" in output


def test_the_result_can_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    run("--json", "-", "fdt://a/0", "fdt://b/0")
    assert json.loads(capsys.readouterr().out)["files_failed"] == 1


def test_a_result_that_cannot_be_written_is_no_success() -> None:
    code, output = run("--json", "nowhere/result", "fdt://a/0", "fdt://b/0")
    assert code == 1
    assert "cannot write the result" in output
