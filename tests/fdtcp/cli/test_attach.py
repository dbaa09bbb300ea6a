"""The commands for detached jobs, as far as they go without a daemon."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fdtcp.cli import config
from fdtcp.cli.attach import COMMANDS, _say_attended, _say_status, main
from fdtcp.contract import WatchReply
from fdtcp.detached import FollowReply, Part

TICKET = f"{'a' * 32}@127.0.0.9:1"
RATE = {"rate": ("10MB",)}
PART = Part("b" * 32, "moving", 1, 0, 0, 20, 10, 1.0)


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """Put the handlers back that a command replaces."""
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("X509_USER_PROXY", str(tmp_path / "no-proxy"))
    monkeypatch.setattr(config, "DEFAULT_CONFIG", str(tmp_path / "none.conf"))


@pytest.mark.parametrize("command", COMMANDS)
def test_bad_ids_and_options_are_usage_errors(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command, ["nonsense"]) == 64
    assert main(command, []) == 64
    assert main(command, [TICKET, *RATE.get(command, ()), "--stall-timeout", "1"]) == 64
    assert "ID@host:port" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_proxy_nothing_is_asked(command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(command, [TICKET, *RATE.get(command, ()), "-l", str(tmp_path / "log")]) == 1
    assert "no-proxy" in capsys.readouterr().err
    assert "bad-credential" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("text", ["fast", "-5", ""])
def test_a_rate_is_a_size_or_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("rate", [TICKET, "--", text]) == 64
    assert "rate:" in capsys.readouterr().out + capsys.readouterr().err
    assert main("rate", [TICKET]) == 64


def test_only_attach_makes_a_report() -> None:
    assert main("status", [TICKET, "--report", "x"]) == 64


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            FollowReply(2, 0, (), False, False, 0.0, 2.0, 60.0, (PART,)),
            ("running: 10 B of 20 B", "1 of 2 files", "acts"),
        ),
        (FollowReply(1, 0, (), True, False, 0.0, 2.0, 60.0, (PART,)), ("done: ", "1 of 1 files")),
        (FollowReply(2, 0, (), True, False, 0.0, 2.0, 60.0, (PART,)), ("failed: ",)),
        (FollowReply(2, 0, (), True, True, 0.0, 0.0, 60.0, (PART, PART)), ("cancelled: 20 B of 40 B",)),
    ],
)
def test_a_status_begins_with_one_word(reply: FollowReply, words: tuple[str, ...]) -> None:
    said = _say_status(reply)
    assert said.startswith(words[0])
    assert all(word in said for word in words)
    assert ("acts as you" in said) == said.startswith("running")


@pytest.mark.parametrize(
    ("rates", "limit"), [((None,), ""), ((0,), ""), ((5_000_000, 0), ""), ((5_000_000, 3_000_000), "8.00 MB/s")]
)
def test_a_status_says_what_limit_holds_for_all_parts(rates: tuple[int | None, ...], limit: str) -> None:
    parts = tuple(replace(PART, rate=rate) for rate in rates)
    said = _say_status(FollowReply(9, 0, (), False, False, 0.0, 2.0, 60.0, parts))
    assert (f"; at most {limit} (" in said) if limit else ("at most" not in said)
    assert "at most" not in _say_status(FollowReply(9, 0, (), True, False, 0.0, 2.0, 60.0, parts))


def test_a_job_of_another_terminal_is_told_of_as_far_as_its_destination_knows_it() -> None:
    reply = WatchReply(0, (), 2_000_000, (), False, rate=1_000_000)
    assert _say_attended(reply) == "running: 1.91 MiB moved; at most 1.00 MB/s (8.00 Mbit/s)"
    assert _say_attended(replace(reply, ended=True)) == "ended: 1.91 MiB moved"
