"""Starting movers."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import Future
from pathlib import Path

import psutil
import pytest

from fdtd.errors import MoverNotStarted
from fdtd.processes.launcher import ENVIRONMENT, Launch, Launcher, Process, _dispose
from fdtd.site.config import AccountSettings
from tests.helpers.daemons import own_account, wait_until

SAME = AccountSettings("same", 1000, True, "", "")
PROBE = (
    sys.executable,
    "-I",
    "-c",
    "import json, os; print(json.dumps([os.getresuid(), dict(os.environ),"
    " os.getcwd(), sorted(map(int, os.listdir('/proc/self/fd'))), os.getsid(0) == os.getpid()]))",
)


def probe(settings: AccountSettings, account: str, directory: Path) -> list[object]:
    with Launcher(settings, PROBE) as launcher, launcher.launch(account, str(directory / "log")) as process:
        output, _ = process.communicate(timeout=20)
    facts: list[object] = json.loads(output)
    return facts


def test_a_mover_inherits_nothing_but_its_pipes_and_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/evil")
    leak = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        uids, environment, cwd, descriptors, leads = probe(SAME, own_account(), tmp_path)
    finally:
        os.close(leak)
    assert uids == [os.geteuid()] * 3
    # Python adds LC_CTYPE for itself where the C locale is set.
    assert isinstance(environment, dict) and environment.items() - ENVIRONMENT.items() <= {("LC_CTYPE", "C.UTF-8")}
    assert cwd == "/"
    assert isinstance(descriptors, list) and len(descriptors) == 4  # with that of listdir
    assert leads is True


@pytest.mark.root
def test_as_root_a_mover_is_the_account_in_all_three_ways(tmp_path: Path) -> None:
    account = pwd.getpwnam("nobody")
    # Not Python: the interpreter of the tests may be where only root can reach it.
    command = ("/bin/sh", "-c", "id -u; id -g; id -G; grep -E '^(Uid|Gid)' /proc/self/status")
    settings = AccountSettings("root", 1, False, "", "")
    with Launcher(settings, command) as launcher, launcher.launch("nobody", str(tmp_path / "log")) as process:
        output, _ = process.communicate(timeout=20)
    uid, gid, groups, uids, gids = output.decode().splitlines()
    assert (int(uid), int(gid)) == (account.pw_uid, account.pw_gid)
    assert set(map(int, groups.split())) == set(os.getgrouplist("nobody", account.pw_gid))
    assert set(uids.split()[1:]) == {uid}
    assert set(gids.split()[1:]) == {gid}


def test_sudo_is_asked_for_one_fixed_program_without_arguments(tmp_path: Path) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    sudo.chmod(0o755)
    settings = AccountSettings("sudo", 1000, False, str(sudo), "/usr/libexec/fdtd/mover")
    with Launcher(settings) as launcher, launcher.launch("alice", str(tmp_path / "log")) as process:
        output, _ = process.communicate(timeout=20)
    assert output.decode().split("\n") == ["-n", "-u", "alice", "/usr/libexec/fdtd/mover", ""]


def test_only_sudo_is_suspected_when_a_mover_says_nothing() -> None:
    assert "as alice?" in Launcher(AccountSettings("sudo", 1000, False, "/usr/bin/sudo", "/x")).doubt("alice")
    assert Launcher(SAME).doubt("alice") == ""


def test_the_log_is_the_daemons_and_not_for_everybody(tmp_path: Path) -> None:
    command = (sys.executable, "-I", "-c", "import sys; print('trouble', file=sys.stderr)")
    with Launcher(SAME, command) as launcher, launcher.launch(own_account(), str(tmp_path / "log")) as process:
        process.communicate(timeout=20)
    assert (tmp_path / "log").read_text() == "trouble\n"
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) & 0o027 == 0


def test_what_cannot_be_started_is_told(tmp_path: Path) -> None:
    with Launcher(AccountSettings("root", 1, False, "", "")) as launcher:
        with pytest.raises(MoverNotStarted, match="nosuchaccount"):
            launcher.launch("nosuchaccount", str(tmp_path / "log"))
        with pytest.raises(MoverNotStarted):
            launcher.launch(own_account(), str(tmp_path / "no" / "log"))


def test_a_log_that_is_a_symlink_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    with Launcher(SAME, PROBE) as launcher, pytest.raises(MoverNotStarted):
        launcher.launch(own_account(), str(tmp_path / "log"))
    assert not (tmp_path / "elsewhere").exists()


def test_all_forks_come_from_one_thread(tmp_path: Path) -> None:
    with Launcher(SAME, ("/bin/true",)) as launcher:
        names = {thread.name for thread in threading.enumerate()}
        for _ in range(3):
            with launcher.launch(own_account(), str(tmp_path / "log")) as process:
                assert process.wait(20) == 0
        assert {thread.name for thread in threading.enumerate()} == names


def test_a_mover_does_not_outlive_a_killed_daemon_even_without_its_life_line(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import time
        from fdtd.site.config import AccountSettings
        from fdtd.processes.launcher import Launcher
        with Launcher(AccountSettings("same", 1, True, "", ""), ("/bin/sleep", "60")) as launcher:
            print(launcher.launch({own_account()!r}, {str(tmp_path / "log")!r}).pid, flush=True)
            time.sleep(60)
    """)
    if shutil.which("setpriv") is None:
        pytest.skip("there is no setpriv here: the life line is the only guard")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        pid = int(daemon.stdout.readline())
        # Only now the guard is set; before, a mover reads end of file instead.
        assert wait_until(lambda: Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"/bin/sleep"))
        daemon.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize("is_refused", [False, True], ids=["killed", "by its life line, as with sudo"])
def test_a_process_that_comes_too_late_is_ended_and_holds_nobody(tmp_path: Path, is_refused: bool) -> None:
    begun, go_on = threading.Event(), threading.Event()
    late: list[Process] = []

    class Slow(Launcher):
        def _start(self, launch: Launch) -> Process:
            begun.set()
            assert go_on.wait(20)
            late.append(super()._start(launch))
            if is_refused and len(late) == 1:
                late[0].kill = refuse  # type: ignore[method-assign]  # what the kernel says of root's process
            return late[-1]

    def refuse() -> None:
        raise PermissionError

    with Slow(SAME, (sys.executable, "-c", "import sys; sys.stdin.read()")) as launcher:
        # What `launch` does when its time is over while the process is being started.
        future: Future[Process] = Future()
        launcher._requests.put((Launch(own_account(), str(tmp_path / "log")), future))
        assert begun.wait(20) and not future.cancel()
        future.add_done_callback(_dispose)
        go_on.set()
        with launcher.launch(own_account(), str(tmp_path / "log")) as process:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(20) == 0
        assert wait_until(lambda: late[0].returncode is not None)
        assert late[0].returncode in ((0,) if is_refused else (0, -signal.SIGKILL))
