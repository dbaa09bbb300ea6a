"""Movers under another account than their daemon's: through sudo with the rules that we ship, and started by root."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.cli.lab import DESTINATION, SOURCE, Lab
from fdtcp.model.order import Policy, State
from tests.helpers.clilab import CliLab
from tests.helpers.dataset import is_same, make_file
from tests.helpers.movers import Job, Pair
from tests.helpers.otheraccounts import Accounts, has_interpreter, other_accounts, sudoers

MIB = 1 << 20

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("sudo") is None or shutil.which("useradd") is None, reason="needs sudo, useradd"),
    pytest.mark.skipif(not has_interpreter(), reason="this host has no interpreter that all accounts may run"),
]


@pytest.fixture(scope="module")
def accounts() -> Iterator[Accounts]:
    with other_accounts() as made:
        yield made


def through_sudo(accounts: Accounts, user: str) -> tuple[str, ...]:
    """Return what stands before a mover's command: the launcher takes no arguments, so the shell drops them."""
    daemon = ["setpriv", f"--reuid={accounts.daemon}", f"--regid={accounts.daemon}", "--clear-groups"]
    return ("sh", "-c", "exec " + shlex.join([*daemon, "sudo", "-n", "-u", user, str(accounts.launcher)]))


def test_files_travel_between_movers_that_sudo_has_started(accounts: Accounts) -> None:
    home = accounts.make_home("sudo")
    sources = [accounts.give(make_file(home / "from" / name, size)) for name, size in (("a", 1000), ("b", 3 * MIB))]
    for directory in (home / "from", home):
        os.chown(directory, accounts.uid, -1)
    pairs: list[Pair] = [(source, home / "to" / source.name) for source in sources]
    command = through_sudo(accounts, accounts.user)
    with (
        sudoers(accounts),
        Job(pairs, reader_command=command, writer_command=command, environment={"PATH": "/usr/bin:/bin"}) as job,
    ):
        assert {outcome.state for outcome in job.run().values()} == {State.DONE}
    for source, target in pairs:
        assert is_same(Path(os.fsdecode(source)), Path(os.fsdecode(target)))
        assert os.stat(target).st_uid == accounts.uid


def test_a_mover_behind_sudo_ends_with_its_life_line(accounts: Accounts) -> None:
    home = accounts.make_home("life")
    source = accounts.give(make_file(home / "source", 8 * MIB))
    command = through_sudo(accounts, accounts.user)
    policy = Policy(rate_limit=MIB, block_size=256 << 10)
    with (
        sudoers(accounts),
        Job(
            [(source, home / "to/target")],
            policy,
            reader_command=command,
            writer_command=command,
            environment={"PATH": "/usr/bin:/bin"},
        ) as job,
    ):
        job.start()
        job.writer.wait_until(lambda progress: progress.moved > 0)
        for mover in (job.reader, job.writer):
            assert mover.process.stdin is not None
            mover.process.stdin.close()
            while mover.hear() is not None:
                pass
            mover.process.wait(10)
    assert not (home / "to/target").exists()


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_sudo_starts_movers_as_members_of_the_group_only(accounts: Accounts, user: str) -> None:
    with sudoers(accounts):
        refused = subprocess.run(through_sudo(accounts, user), capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode != 0
    assert refused.stdout == ""


def as_root(lab: Lab, accounts: Accounts) -> None:
    """Let the lab's daemons, which run as root, start movers as the user."""
    starter = accounts.directory / "python"
    starter.write_text(f'#!/bin/sh\nexec "{accounts.launcher}"\n')
    starter.chmod(0o755)
    for host in lab.hosts:
        config = Path(lab.directory) / host.name / "fdtd.conf"
        config.write_text(config.read_text().replace("mode = same", "mode = root"))
    gridmap = Path(lab.gridmap)
    gridmap.write_text(gridmap.read_text().rpartition(" ")[0] + f" {accounts.user}\n")


# The tests' own interpreter may be in somebody's home, where no other account can run it.
DAEMON = """
import sys
from fdtd.cli import main
from fdtd.processes import launcher
launcher.sys.executable = {starter!r}
sys.exit(main(sys.argv[sys.argv.index("--config"):]))
"""


def test_a_daemon_of_roots_starts_movers_as_the_mapped_account(accounts: Accounts) -> None:
    directory = accounts.directory / "lab"
    directory.mkdir()
    script = accounts.directory / "daemon.py"
    script.write_text(DAEMON.format(starter=str(accounts.directory / "python")))
    hosts = tuple(
        type(host)(host.name, host.control, host.data, (sys.executable, str(script))) for host in (SOURCE, DESTINATION)
    )
    lab = Lab(str(directory), hosts=(hosts[0], hosts[1]))
    lab.make()
    as_root(lab, accounts)
    with lab:
        for host in lab.hosts:
            lab.start(host)
            os.chmod(lab.data(host), 0o700)
            os.chown(lab.data(host), accounts.uid, -1)
        (directory / "home").mkdir()
        one = CliLab(lab, directory / "home")
        mine = one.make("mine", 2 * MIB)
        roots = one.make("roots")
        accounts.give(one.source / mine)
        (one.source / roots).chmod(0o600)
        ended = one.run("--copyjobfile", one.copyjob([mine, roots]))
    assert ended.codes() == ["", "source-unreadable"], ended.output
    assert is_same(one.source / mine, one.destination / mine)
    assert (one.destination / mine).stat().st_uid == accounts.uid
