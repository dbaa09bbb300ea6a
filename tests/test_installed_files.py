"""What is installed beside the packages: the launcher, and that all files mean the same places."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fdtd.site.config import DEFAULT_CONFIG

ROOT = Path(__file__).resolve().parent.parent
LAUNCHER = "/usr/libexec/fdtd/mover"


def test_the_launcher_becomes_a_mover_that_takes_nothing_from_the_environment(tmp_path: Path) -> None:
    text = (ROOT / "etc/mover").read_text()
    assert text.count("/usr/bin/python3") == 1
    launcher = tmp_path / "mover"
    launcher.write_text(text.replace("/usr/bin/python3", sys.executable))
    launcher.chmod(0o755)
    hostile = {"PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": "/nonexistent", "PATH": "/nonexistent"}
    (tmp_path / "fdtcp.py").write_text("raise SystemExit(77)\n")
    done = subprocess.run(
        [launcher], input=b"{}\n", capture_output=True, env=hostile, cwd=tmp_path, timeout=30, check=False
    )
    assert done.returncode == 1
    assert b'"ended"' in done.stdout


@pytest.mark.parametrize("name", ["etc/sudoers.fdtd", "etc/fdtd.conf", "etc/mover", "Makefile"])
def test_the_launcher_is_in_one_place(name: str) -> None:
    assert LAUNCHER in (ROOT / name).read_text()


def test_the_package_has_the_launcher() -> None:
    spec = (ROOT / "rpm/fdtcp.spec").read_text()
    assert spec.count("%{_libexecdir}/fdtd/mover") == 2
    assert stat.S_IMODE((ROOT / "etc/mover").stat().st_mode) & 0o111


@pytest.mark.parametrize("unit", sorted((ROOT / "systemd").glob("*.service")), ids=lambda path: path.name)
def test_units_name_programs_that_the_installation_can_put_elsewhere(unit: Path) -> None:
    (line,) = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
    assert line.startswith("ExecStart=/usr/bin/")
    assert line.endswith((DEFAULT_CONFIG, "/etc/fdtcp/authsvc.conf"))
