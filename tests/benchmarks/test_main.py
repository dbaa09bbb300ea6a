from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.contest import Contest
from benchmarks.data import Files
from benchmarks.network import KEEP
from benchmarks.peers.local import Cp, TarNc
from benchmarks.suites import SUITES, Scale
from benchmarks.work import Measurement, Work

# The host's network: a namespace would be that of all later tests, too.
COMMON = ["--congestion", KEEP, "--pairs", "2"]


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a suite of two ceilings, called `ours`, whose files are as large as the scale says."""
    monkeypatch.setitem(
        SUITES, "ours", lambda scale: iter([Contest("large", Files(2, scale.large // 2), (Cp(), TarNc()))])
    )


def run(tmp_path: Path, *arguments: str) -> int:
    return main(["ours", *COMMON, "--dir", str(tmp_path), "--memory", str(tmp_path), *arguments])


@pytest.mark.usefixtures("suite")
def test_a_run_prints_a_table_and_writes_all_measurements(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "run.json"
    picture = tmp_path / "new" / "run.svg"
    assert run(tmp_path, "--size", "64KiB", "--json", str(out), "--svg", str(picture)) == 0
    assert "large: 2 files of 32.0 KiB, tmpfs -> tmpfs; medians of 2 rounds" in capsys.readouterr().out
    plain = json.loads(out.read_text())
    assert plain["machine"]["cores"] >= 1
    (contest,) = plain["contests"]
    assert len(contest["rounds"]) == 2
    assert contest["rounds"][0]["cp"]["size"] == 65536
    assert contest["rounds"][0]["cp"]["timed_by"] == "whole command"
    assert {target["verdict"] for target in plain["targets"]} == {"not measured"}
    assert picture.read_text().startswith("<svg ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new"]


@pytest.mark.usefixtures("suite")
def test_peers_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--size", "2KiB", "--peers", "cp") == 0
    assert "tar | nc" not in capsys.readouterr().err
    assert run(tmp_path, "--size", "2KiB", "--only-targets") == 0
    assert "tar | nc" not in capsys.readouterr().err


class Interrupting(Cp):
    """A peer during whose work somebody presses Ctrl-C."""

    def run(self, work: Work) -> Measurement:
        super().run(work)
        raise KeyboardInterrupt


def test_what_was_measured_before_an_interruption_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contests = [Contest("first", Files(1, 10), (Cp(),)), Contest("second", Files(1, 10), (Interrupting(),))]
    monkeypatch.setitem(SUITES, "ours", lambda _: iter(contests))
    out = tmp_path / "run.json"
    assert run(tmp_path, "--json", str(out)) == 130
    assert [contest["contest"] for contest in json.loads(out.read_text())["contests"]] == ["first"]
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.usefixtures("suite")
def test_several_runs_are_told_of_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, whole = (tmp_path / name for name in ("first.json", "second.json", "whole.json"))
    assert run(tmp_path, "--size", "64KiB", "--json", str(first)) == 0
    monkeypatch.setitem(SUITES, "ours", lambda _: iter([Contest("four", Files(4, 10), (Cp(), TarNc()))]))
    assert run(tmp_path, "--json", str(second)) == 0
    told = capsys.readouterr().out
    assert main(["--join", str(first), str(second), "--json", str(whole), "--svg", str(tmp_path / "both.svg")]) == 0
    told_again = capsys.readouterr().out
    assert all(line in told for line in told_again.splitlines() if "GB/s" in line)
    plain, halves = json.loads(whole.read_text()), [json.loads(one.read_text()) for one in (first, second)]
    assert plain["contests"] == [contest for half in halves for contest in half["contests"]]
    assert plain["machine"] == halves[0]["machine"]
    assert (tmp_path / "both.svg").read_text().count("<svg ") == 1


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 2}', '{"format": 1, "contests": [{}]}', '{"format": 1, "contests": []}'],
)
def test_what_is_no_record_of_a_run_is_refused(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "odd.json").write_text(text)
    assert main(["--join", str(tmp_path / "odd.json")]) == 1
    assert "odd.json cannot be taken" in capsys.readouterr().err


def test_an_unknown_suite_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["no-such-suite"])
    assert "no suite is called no-such-suite" in capsys.readouterr().err


def test_the_full_scale_is_what_the_targets_are_about() -> None:
    assert (Scale().large, Scale().small, Scale().many, Scale().medium) == (8 << 30, 20_000, 200_000, 2_000)
