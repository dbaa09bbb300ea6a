"""Jobs that go on without their client, between two real daemons."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from authsvc import ca
from authsvc.credentials import Credential
from fdtcp.cli.lab import DESTINATION, SOURCE, account
from fdtcp.model.ticket import Ticket
from tests.helpers.clilab import CliLab, Ended, cli_lab, wait_until
from tests.helpers.dataset import is_same

# Large files are holes: they take their time on the network and no room on the disk.
SLOW = ("--rate-limit", "2MB")
GRACE_S = 2.0


@pytest.fixture(scope="module")
def lab() -> Iterator[CliLab]:
    with cli_lab({"session": f"client_grace = {GRACE_S}s"}) as made:
        yield made


def make_slow(lab: CliLab, name: str, seconds: float = 100.0) -> str:
    path = lab.source / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(int(seconds * 2_000_000))
    return name


def fdtcp(lab: CliLab, *arguments: object, proxy: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command without a report."""
    environment = lab.lab.environment | ({"X509_USER_PROXY": proxy} if proxy else {})
    command = [sys.executable, "-m", "fdtcp", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def detach(lab: CliLab, *arguments: object) -> str:
    ended = fdtcp(lab, "--detach", *arguments)
    assert ended.returncode == 0, ended.stderr
    ticket = ended.stdout.removesuffix("\n")
    assert str(Ticket.parse(ticket)) == ticket, "standard output has the ticket and nothing else"
    return ticket


def attach(lab: CliLab, ticket: str) -> Ended:
    began = time.monotonic()
    return lab.wait(start_attach(lab, ticket), began)


def start_attach(lab: CliLab, ticket: str) -> subprocess.Popen[str]:
    lab.report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "fdtcp", "attach", "--report", str(lab.report)]
    return subprocess.Popen(
        [*command, "--json", str(lab.home / "result"), ticket],
        env=lab.lab.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def status(lab: CliLab, ticket: str) -> str:
    """Return the first word of fdtcp status."""
    ended = fdtcp(lab, "status", ticket)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.partition(":")[0]


def proxies(lab: CliLab) -> list[Path]:
    return list((Path(lab.lab.directory) / "destination" / "state" / "proxies").iterdir())


def other_user(lab: CliLab) -> Credential:
    """Make a second user, who has the same account."""
    authority = ca.LabCa(os.path.join(lab.lab.directory, "ca"))
    user = ca.issue_user(authority, "Other User", force=True)
    with Path(lab.lab.gridmap).open("a") as file:
        file.write(f'"/O=fdt-lab/CN=Other User" {account()}\n')
    return ca.issue_proxy(user, str(lab.home / "other.proxy"), force=True)


def test_coming_back_looks_as_if_one_had_stayed(lab: CliLab) -> None:
    base = lab.fresh()
    names = [lab.make(f"{base}/{number}", 1000 * number) for number in range(5)]
    ticket = detach(lab, "--copyjobfile", lab.copyjob([*names, f"{base}/missing"]))
    wait_until(lambda: status(lab, ticket) == "failed")
    assert proxies(lab) == [], "a proxy goes when its job has ended"
    ended = attach(lab, ticket)
    stayed = lab.run("--on-exists", "overwrite", "--copyjobfile", lab.copyjob([*names, f"{base}/missing"]))
    assert ended.code == stayed.code == 1
    assert [line[:3] for line in ended.report] == [line[:3] for line in stayed.report]
    assert ended.states() == stayed.states()
    assert ended.codes() == stayed.codes() == [""] * 5 + ["source-missing"]
    assert ended.result.keys() == stayed.result.keys()
    assert ended.result["jobs"][0].keys() == stayed.result["jobs"][0].keys()
    assert sum(path["moved"] for path in ended.result["paths"]) >= 10_000
    assert "FAILED" in ended.output
    assert all(is_same(lab.source / name, lab.destination / name) for name in names)
    again = attach(lab, ticket)
    assert again.code == 1
    assert "unknown-session" in again.errors, "a result that was read is forgotten"


def test_more_files_than_fit_into_one_call(lab: CliLab) -> None:
    base = lab.fresh()
    names = [lab.make(f"{base}/{number % 10}/{number}", 0) for number in range(1200)]
    ended = attach(lab, detach(lab, "--copyjobfile", lab.copyjob(names)))
    assert ended.code == 0, ended.output
    assert [line[1] for line in ended.report] == [lab.pair(name)[1] for name in names]


def test_attaching_and_leaving_again_stops_nothing_and_others_see_nothing(lab: CliLab) -> None:
    name = make_slow(lab, f"{lab.fresh()}/slow")
    ticket = detach(lab, *SLOW, *lab.pair(name))
    other = other_user(lab).cert_path
    for command in ("status", "attach", "cancel", "renew"):
        refused = fdtcp(lab, command, ticket, proxy=other)
        assert refused.returncode == 1
        assert "unknown-session" in refused.stderr
    began = time.monotonic()
    process = start_attach(lab, ticket)
    assert process.stdout is not None
    assert "1 file, 127.0.0.2" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    ended = lab.wait(process, began)
    assert ended.code == 1
    assert f"come back with: fdtcp attach {ticket}" in ended.output
    assert (ended.report, ended.states()) == ([], ["unfinished"])
    assert status(lab, ticket) == "running"
    (proxy,) = proxies(lab)
    assert proxy.stat().st_mode & 0o777 == 0o600
    renewed = fdtcp(lab, "renew", "--delegate-hours", 2, ticket)
    assert (renewed.returncode, renewed.stdout.partition(":")[0]) == (0, "running")
    assert proxies(lab) == [proxy]
    told = fdtcp(lab, "cancel", ticket)
    assert (told.returncode, told.stdout.partition(":")[0]) == (0, "cancelled")
    assert proxies(lab) == []
    last = attach(lab, ticket)
    assert (last.code, last.codes()) == (1, ["abandoned"])
    assert not (lab.destination / name).exists()


def test_a_delegated_job_survives_its_client_and_only_its_loss(lab: CliLab) -> None:
    base = lab.fresh()
    name = make_slow(lab, f"{base}/slow", seconds=3)
    process = lab.start(*SLOW, "--delegate", *lab.pair(name))
    wait_until(lambda: any((lab.destination / base).glob(".*.part")))
    process.kill()
    output, _ = process.communicate()
    ticket = output.partition("fdtcp attach ")[2].split()[0]
    ended = attach(lab, ticket)
    assert ended.code == 0, ended.output
    assert is_same(lab.source / name, lab.destination / name)


def test_a_signal_stops_a_delegated_job(lab: CliLab) -> None:
    base = lab.fresh()
    name = make_slow(lab, f"{base}/slow")
    began = time.monotonic()
    process = lab.start(*SLOW, "--delegate", *lab.pair(name))
    wait_until(lambda: any((lab.destination / base).glob(".*.part")))
    sent = time.monotonic()
    process.send_signal(signal.SIGTERM)
    ended = lab.wait(process, began)
    assert time.monotonic() - sent < 7
    assert (ended.code, ended.codes()) == (1, ["abandoned"])
    assert proxies(lab) == []


def test_bytes_flow_on_when_the_delegated_proxy_ends(lab: CliLab) -> None:
    log = Path(lab.lab.directory) / "source" / "log" / "fdtd.log"
    # On a busy machine a short one ends before the first byte; then it has to be longer.
    for life in (2, 8, 32):
        name = make_slow(lab, f"{lab.fresh()}/slow", seconds=life + 4)
        began = time.time()
        ended = attach(lab, detach(lab, *SLOW, "--delegate-hours", life / 3600, *lab.pair(name)))
        if ended.code == 0 or ended.result["moved"]:
            break
    assert ended.code == 0, ended.output
    # The source's daemon had no client for longer than its grace, and no way to get one.
    assert time.time() - began > life + GRACE_S + 1
    assert is_same(lab.source / name, lab.destination / name)
    assert "client was not heard of" not in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_a_job_ends_with_its_daemon_and_can_be_read_from_the_next(number: signal.Signals) -> None:
    with cli_lab() as lab:
        base = lab.fresh()
        names = [lab.make(f"{base}/first", 1000), make_slow(lab, f"{base}/slow")]
        ticket = Ticket.parse(detach(lab, *SLOW, "--sync", "file", "--copyjobfile", lab.copyjob(names)))
        wait_until((lab.destination / names[0]).exists)
        wait_until(lambda: "1 of 2 files" in fdtcp(lab, "status", ticket).stdout)
        daemon = lab.lab.daemons[DESTINATION.name].process
        daemon.send_signal(number)
        daemon.wait(15)
        if daemon.stdout is not None:
            daemon.stdout.close()
        assert len(proxies(lab)) == (1 if number is signal.SIGKILL else 0)
        lab.lab.start(DESTINATION)
        assert proxies(lab) == []
        # It listens on another port now, as a daemon with a port of its own would not.
        moved = f"{ticket.job}@{lab.lab.daemons[DESTINATION.name].authority}"
        assert status(lab, moved) == "failed"
        ended = attach(lab, moved)
        assert ended.code == 1
        assert ended.codes() == ["", "daemon-lost"]
        assert ended.result["files"][1]["problem"]["retryable"]
        assert is_same(lab.source / names[0], lab.destination / names[0])


def test_what_cannot_be_detached_is_said_before_anything_moves(lab: CliLab) -> None:
    name = lab.make(f"{lab.fresh()}/file")
    source, destination = lab.pair(name)
    two = lab.copyjob([name], more=[f"{source} fdt://127.0.0.9:1/x"])
    for arguments, words in (
        (("--detach", "--copyjobfile", two), "one destination"),
        (("--delegate", "--copyjobfile", two), "one destination"),
        (("--detach", "--report", lab.home / "r", source, destination), "fdtcp attach"),
        (("--delegate-hours", "3", source, destination), "belongs to"),
        (("attach", "nonsense"), "not the id"),
    ):
        ended = fdtcp(lab, *arguments)
        assert ended.returncode == 64, ended
        assert words in ended.stderr


def test_a_source_that_cannot_be_reached_from_the_destination_fails_the_files(lab: CliLab) -> None:
    destination = lab.pair(f"{lab.fresh()}/file")[1]
    ended = lab.run("--delegate", "--timeout", "2", "fdt://127.0.0.9:1/x", destination)
    assert (ended.code, ended.codes()) == (1, ["unreachable"])
    assert ended.report[0][2] == "1"
    assert f"{SOURCE.control}" not in ended.output


def test_a_limited_proxy_is_enough(lab: CliLab, tmp_path: Path) -> None:
    user = Credential(*(os.path.join(lab.lab.directory, "ca", "users", f"Demo_User.{kind}") for kind in ("pem", "key")))
    limited = ca.issue_proxy(user, str(tmp_path / "proxy"), limited=True)
    name = lab.make(f"{lab.fresh()}/file")
    ended = lab.run("--delegate", "-x", limited.cert_path, *lab.pair(name))
    assert ended.code == 0, ended.output
    log = Path(lab.lab.directory) / "source" / "log" / "fdtd.log"
    assert "depth=2 limited=True" in log.read_text()
