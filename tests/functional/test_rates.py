"""Rates of running jobs, between two real daemons: memory to memory, so that only the limits are slow."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from fdtcp.cli.lab import DESTINATION, SOURCE
from fdtd.operation.admin import ask_status
from tests.helpers.clilab import CliLab, cli_lab, wait_until

MB = 1_000_000
ENDS = ((SOURCE, "zero"), (DESTINATION, "null"))


@pytest.fixture(scope="module")
def lab() -> Iterator[CliLab]:
    with cli_lab() as made:
        yield made


def run(lab: CliLab, *command: object) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", *map(str, command)]
    return subprocess.run(program, env=lab.lab.environment, capture_output=True, text=True, timeout=60, check=False)


def detach(lab: CliLab, rate: str) -> str:
    """Begin a job that would take days."""
    pair = [f"fdt://{lab.lab.daemons[host.name].authority}/dev/{name}" for host, name in ENDS]
    ended = run(lab, "fdtcp", "--detach", "--zero-size", "100TB", "--rate-limit", rate, *pair)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def sessions(lab: CliLab, host: str) -> list[tuple[int, int]]:
    """Return the rate and the bytes of each job that a host has running."""
    status = ask_status(str(Path(lab.lab.directory) / host / "run"))
    assert isinstance(status["sessions"], list)
    running = [one for one in status["sessions"] if one["state"] == "moving"]
    return [(one["rate_limit"], one["moved"]) for one in running]


def has_rates(lab: CliLab, host: str, rates: list[int]) -> bool:
    return sorted(rate for rate, _ in sessions(lab, host)) == rates


def wait_rates(lab: CliLab, *rates: int) -> None:
    for host in (SOURCE, DESTINATION):
        wait_until(partial(has_rates, lab, host.name, sorted(rates)), 20)


def moved(lab: CliLab) -> int:
    return sum(count for _, count in sessions(lab, DESTINATION.name))


def test_a_users_running_job_is_hastened_and_slowed(lab: CliLab) -> None:
    ticket = detach(lab, "2MB")
    wait_rates(lab, 2 * MB)
    assert run(lab, "fdtcp", "rate", ticket, "80MB").stdout.startswith("running: ")
    wait_rates(lab, 80 * MB)
    before = moved(lab)
    wait_until(lambda: moved(lab) >= before + 160 * MB, 30)  # at the old rate it takes 80 s
    assert run(lab, "fdtcp", "rate", ticket, "2MB").returncode == 0
    wait_rates(lab, 2 * MB)
    looks = [(time.monotonic(), moved(lab))]

    def is_slow() -> bool:
        """Whether for two seconds no more than thrice the rate has come; the old one is forty times as much."""
        looks.append((time.monotonic(), moved(lab)))
        now, at = looks[-1]
        return any(now - then > 2 and at - was < 3 * 2 * MB * (now - then) for then, was in looks)

    wait_until(is_slow, 30)  # soon, because what was under way comes first
    assert run(lab, "fdtcp", "rate", ticket, "fast").returncode == 64
    assert run(lab, "fdtcp", "cancel", ticket).returncode == 0
    assert run(lab, "fdtcp", "rate", ticket, "none").returncode == 0, "a job that has ended is left as it is"
    wait_rates(lab)


def test_a_job_that_another_terminal_drives_is_told_of_and_changed_by_its_name(lab: CliLab) -> None:
    pair = [f"fdt://{lab.lab.daemons[host.name].authority}/dev/{name}" for host, name in ENDS]
    command = [sys.executable, "-m", "fdtcp", "--zero-size", "100TB", "--rate-limit", "2MB", *pair]
    with subprocess.Popen(command, env=lab.lab.environment, stdout=subprocess.PIPE, text=True) as driver:
        try:
            assert driver.stdout is not None
            said = next(line for line in driver.stdout if "fdtcp rate" in line)
            ticket = next(word for word in said.split() if "@" in word).rstrip(",")
            wait_rates(lab, 2 * MB)
            wait_until(lambda: "at most 2.00 MB/s" in run(lab, "fdtcp", "status", ticket).stdout, 20)
            assert run(lab, "fdtcp", "rate", ticket, "80MB").stdout.startswith("running: ")
            wait_rates(lab, 80 * MB)
            assert run(lab, "fdtcp", "rate", ticket.replace(ticket[:4], "0000", 1), "1MB").returncode == 1
        finally:
            driver.send_signal(signal.SIGINT)
            driver.communicate(timeout=30)
    # Its daemon forgets it a moment after its end.
    wait_until(lambda: "unknown-session" in run(lab, "fdtcp", "status", ticket).stderr, 20)


def test_an_administrators_rate_is_shared_by_the_jobs_that_run(lab: CliLab) -> None:
    """The destination's: its sources are told, so that nothing waits in the network."""
    fdtd = ("fdtd.cli", "--config", lab.lab.daemons[DESTINATION.name].config, "--rate")
    first = detach(lab, "40MB")
    wait_rates(lab, 40 * MB)
    assert run(lab, *fdtd, "4MB").returncode == 0
    wait_rates(lab, 4 * MB)
    second = detach(lab, "40MB")
    wait_rates(lab, 2 * MB, 2 * MB)
    assert run(lab, "fdtcp", "rate", second, "1MB").returncode == 0
    wait_rates(lab, 3 * MB, 1 * MB)
    assert run(lab, "fdtcp", "cancel", second).returncode == 0
    wait_rates(lab, 4 * MB)
    assert run(lab, *fdtd, "none").returncode == 0
    wait_rates(lab, 40 * MB)
    assert run(lab, "fdtcp", "cancel", first).returncode == 0
