"""Throw-away accounts, and movers that can run as one of them: with an interpreter and modules that all may read."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
INTERPRETER = "/usr/bin/python3"

# What -m does, for modules that are not installed for that interpreter.
START = """
import runpy, sys
sys.path.insert(0, {packages!r})
runpy.run_module("fdtd.mover.program", run_name="__main__", alter_sys=True)
"""


def has_interpreter() -> bool:
    """Say whether this host has an interpreter of its own, which any account may run, and that is new enough."""
    check = [INTERPRETER, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    return os.path.exists(INTERPRETER) and subprocess.run(check, check=False).returncode == 0


@dataclass
class Accounts:
    """A daemon's account, a user's, a group that only the user is in, and a directory that both can enter."""

    directory: Path
    daemon: str
    user: str
    group: str

    @property
    def uid(self) -> int:
        return pwd.getpwnam(self.user).pw_uid

    @property
    def launcher(self) -> Path:
        """The program etc/mover, for these accounts."""
        return self.directory / "mover"

    def make_home(self, name: str) -> Path:
        """Return a new directory of the user's, which nobody else may enter."""
        home = self.directory / name
        home.mkdir(mode=0o700)
        os.chown(home, self.uid, pwd.getpwnam(self.user).pw_gid)
        return home

    def give(self, path: Path) -> Path:
        """Make a file the user's, and readable to nobody else."""
        os.chown(path, self.uid, pwd.getpwnam(self.user).pw_gid)
        path.chmod(0o600)
        return path


@contextmanager
def other_accounts() -> Iterator[Accounts]:
    """Make the accounts, and remove them again.  For root."""
    stem = f"fdtt{os.getpid()}"
    with ExitStack() as stack:
        directory = Path(
            stack.enter_context(TemporaryDirectory(prefix="fdt-accounts-", dir="/tmp"))
        )  # pytest makes its own for root alone
        directory.chmod(0o755)
        made = Accounts(directory, f"{stem}d", f"{stem}u", f"{stem}g")
        _run("groupadd", made.group)
        stack.callback(_run, "groupdel", made.group)
        for account, options in ((made.daemon, ()), (made.user, ("-G", made.group))):
            _run("useradd", "-M", "-U", "-d", "/", "-s", "/usr/sbin/nologin", *options, account)
            stack.callback(_run, "userdel", account)
        _make_launcher(made)
        yield made


@contextmanager
def sudoers(accounts: Accounts) -> Iterator[None]:
    """Install etc/sudoers.fdtd for these accounts, and remove it again."""
    text = (ROOT / "etc/sudoers.fdtd").read_text().replace("/usr/libexec/fdtd/mover", str(accounts.launcher))
    text = text.replace("%fdtusers", f"%{accounts.group}").replace("fdt ALL", f"{accounts.daemon} ALL")
    text = text.replace("Defaults:fdt ", f"Defaults:{accounts.daemon} ").replace("FDT_MOVER", accounts.user.upper())
    draft, rules = accounts.directory / "sudoers", Path(f"/etc/sudoers.d/{accounts.daemon}")
    draft.write_text(text)
    draft.chmod(0o440)
    _run("visudo", "-c", "-q", "-f", str(draft))
    shutil.copy(draft, rules)
    try:
        yield
    finally:
        rules.unlink()


def _make_launcher(accounts: Accounts) -> None:
    packages = accounts.directory / "packages"
    for name in ("fdtcp", "fdtd"):
        shutil.copytree(ROOT / name, packages / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in packages.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    packages.chmod(0o755)
    start = accounts.directory / "start.py"
    start.write_text(START.format(packages=str(packages)))
    start.chmod(0o644)
    text = (ROOT / "etc/mover").read_text()
    accounts.launcher.write_text(text.replace("-m fdtd.mover.program", str(start)))
    accounts.launcher.chmod(0o755)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
