"""The command fdtd, as far as it needs no running daemon."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fdtd.cli import main
from tests.helpers.daemons import write_config
from tests.helpers.pki import Pki


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def lines(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    captured = capsys.readouterr()
    return captured.out.splitlines(), captured.err.splitlines()


def test_check_says_that_all_is_good(tmp_path: Path, pki: Pki, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, pki, {})
    assert main(["--config", str(config), "--check"]) == 0
    out, err = lines(capsys)
    assert out == [f"fdtd: {config} is good; data addresses: 127.1.0.2"]
    assert err == []


@pytest.mark.parametrize(
    ("section", "key", "value", "says"),
    [
        ("security", "certificate", "/nonexistent.pem", "/nonexistent.pem"),
        ("security", "ca_dir", "/nonexistent", "/nonexistent"),
        ("security", "gridmap", "/nonexistent", "/nonexistent"),
        ("data", "interfaces", "203.0.113.7,", "203.0.113.7"),
        ("data", "port_range", "10-20", "port_range"),
        ("service", "state_dir", "/proc/nowhere", "state_dir"),
        ("accounts", "mode", "sudo", "mode"),
    ],
)
def test_check_says_in_one_line_what_is_wrong(
    tmp_path: Path, pki: Pki, capsys: pytest.CaptureFixture[str], section: str, key: str, value: str, says: str
) -> None:
    if (section, key) == ("accounts", "mode") and os.geteuid() != 0:
        value = "root"
    config = write_config(tmp_path, pki, {section: {key: value}})
    assert main(["--config", str(config), "--check"]) != 0
    out, err = lines(capsys)
    assert out == []
    assert len(err) == 1 and says in err[0]


def test_a_key_that_others_can_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pki = Pki(tmp_path / "pki")
    os.chmod(pki.host.key_path, 0o644)
    assert main(["--config", str(write_config(tmp_path, pki, {})), "--check"]) != 0
    _, err = lines(capsys)
    assert len(err) == 1 and pki.host.key_path in err[0]


def test_a_configuration_that_is_not_there_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", "/nonexistent/fdtd.conf"]) == 64
    _, err = lines(capsys)
    assert len(err) == 1 and "/nonexistent/fdtd.conf" in err[0]


def test_wrong_arguments_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--verbose"])
    assert caught.value.code == 64
    assert "--verbose" in capsys.readouterr().err


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    out, _ = lines(capsys)
    assert out[0].startswith("fdtd 1.")


def test_status_without_a_daemon_says_so(tmp_path: Path, pki: Pki, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(write_config(tmp_path, pki, {})), "--status"]) == 1
    _, err = lines(capsys)
    assert len(err) == 1 and "control.sock" in err[0]


@pytest.mark.parametrize("text", ["fast", "-1", ""])
def test_a_rate_is_a_size_or_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([f"--rate={text}"])
    assert caught.value.code == 64
    assert "--rate" in capsys.readouterr().err
