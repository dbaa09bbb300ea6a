"""What a user meets when a host, a disk or a process fails: the words, and what is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from authsvc import ca
from fdtcp.cli.lab import DESTINATION
from tests.helpers.clilab import CliLab, cli_lab, wait_until

# Slow enough to be met in mid-file, long enough for the first journal (a second), over in seconds when let go.
SLOW = ("--rate-limit", "10MB")
SLOW_BYTES = 60 << 20


@pytest.fixture(scope="module")
def lab() -> Iterator[CliLab]:
    with cli_lab() as one:
        yield one


def mover_of(lab: CliLab, side: str) -> psutil.Process:
    daemon = psutil.Process(lab.lab.daemons[side].process.pid)
    (mover,) = [child for child in daemon.children(recursive=True) if "fdtd.mover.program" in child.cmdline()]
    return mover


def has_journal(lab: CliLab, directory: str) -> bool:
    return any(name.endswith(".journal") for name in lab.left_behind(directory))


@pytest.mark.parametrize("side", ["source", "destination"])
def test_a_mover_that_is_killed_in_mid_file_is_named_and_the_next_attempt_goes_on(lab: CliLab, side: str) -> None:
    base = lab.fresh()
    name = lab.make(f"{base}/file", SLOW_BYTES)
    process = lab.start(*SLOW, *lab.pair(name))
    wait_until(lambda: has_journal(lab, base))
    mover_of(lab, side).send_signal(signal.SIGKILL)
    ended = lab.wait(process, 0.0)
    assert ended.code == 1
    (file,) = ended.result["files"]
    assert (file["state"], file["problem"]["code"], file["problem"]["side"]) == ("failed", "mover-died", side)
    assert file["problem"]["retryable"]
    assert not (lab.destination / name).exists()
    left = lab.left_behind(base)
    assert sorted(Path(one).suffix for one in left) == [".journal", ".part"]
    again = lab.run(*lab.pair(name))
    assert again.states() == ["done"]
    assert 0 < again.result["files"][0]["kept"] < SLOW_BYTES
    assert (lab.destination / name).read_bytes() == (lab.source / name).read_bytes()
    assert lab.left_behind(base) == []


def test_a_temporary_file_that_somebody_cleans_away_fails_that_file_alone(lab: CliLab) -> None:
    base = lab.fresh()
    names = [lab.make(f"{base}/big", SLOW_BYTES // 2), lab.make(f"{base}/other", 1000)]
    process = lab.start(*SLOW, "--copyjobfile", lab.copyjob(names))
    wait_until(lambda: [one for one in lab.left_behind(base) if "big" in one])
    for one in lab.left_behind(base):
        if "big" in one:
            (lab.destination / base / one).unlink()
    ended = lab.wait(process, 0.0)
    assert ended.states() == ["failed", "done"]
    assert ended.codes() == ["destination-vanished", ""]
    assert not (lab.destination / names[0]).exists()
    assert lab.left_behind(base) == []


def test_a_symlink_where_a_directory_should_be_is_not_followed(lab: CliLab, tmp_path: Path) -> None:
    base = lab.fresh()
    name = lab.make(f"{base}/file")
    (lab.destination / base).symlink_to(tmp_path)
    ended = lab.run(*lab.pair(name))
    assert ended.codes() == ["destination-blocked"]
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_does_not_exist_is_said_with_side_phase_and_remedy(lab: CliLab) -> None:
    ended = lab.run(*lab.pair("nowhere/file"))
    assert ended.codes() == ["source-missing"]
    assert "source, pre-flight:" in ended.output
    assert not (lab.destination / "nowhere").exists()


@contextmanager
def size_limited(path: Path, size: str) -> Iterator[None]:
    """Mount a file system of `size` bytes at `path`, which is made."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


@pytest.mark.root
def test_a_full_disk_fails_what_does_not_fit_and_nothing_else(lab: CliLab) -> None:
    base = lab.fresh()
    names = [lab.make(f"{base}/fits", 1 << 20), lab.make(f"{base}/does-not", 16 << 20)]
    with size_limited(lab.destination / base, "8M"):
        ended = lab.run("--copyjobfile", lab.copyjob(names))
        assert ended.states() == ["done", "failed"]
        assert ended.codes() == ["", "destination-full"]
        assert (lab.destination / names[0]).stat().st_size == 1 << 20
        assert lab.left_behind(base) == []


@pytest.mark.root
def test_a_directory_that_may_not_be_written_is_a_matter_of_permission(lab: CliLab) -> None:
    base = lab.fresh()
    name = lab.make(f"{base}/file")
    with size_limited(lab.destination / base, "1M"):
        subprocess.run(["mount", "-o", "remount,ro", lab.destination / base], check=True)
        ended = lab.run(*lab.pair(name))
    assert ended.codes() == ["destination-unwritable"]
    assert ended.code == 3


def test_a_host_with_another_authoritys_certificate_is_not_trusted(tmp_path: Path) -> None:
    with cli_lab() as lab:
        stranger = ca.init_ca(str(tmp_path / "other"))
        credential = ca.issue_host(stranger, DESTINATION.control)
        config = Path(lab.lab.daemons[DESTINATION.name].config)
        text = config.read_text()
        lab.lab.daemons[DESTINATION.name].process.terminate()
        lab.lab.daemons[DESTINATION.name].process.wait()
        lines = [
            f"certificate = {credential.cert_path}" if line.startswith("certificate =")
            else f"key = {credential.key_path}" if line.startswith("key =")
            else f"ca_dir = {stranger.certificates}" if line.startswith("ca_dir =")
            else line
            for line in text.splitlines()
        ]  # fmt: skip
        config.write_text("\n".join(lines))
        with ExitStack() as stack:
            out = lab.lab.daemons[DESTINATION.name].process.stdout
            assert out is not None
            stack.callback(out.close)
            lab.lab.start(DESTINATION)
        name = lab.make("file")
        ended = lab.run(*lab.pair(name))
        assert ended.codes() == ["host-not-authentic"]
        assert "destination" in ended.output
        assert list(lab.destination.iterdir()) == []


def test_when_all_data_ports_are_taken_it_says_so_and_what_to_do() -> None:
    with ExitStack() as stack:
        takers = [stack.enter_context(socket.socket()) for _ in DESTINATION.data]
        takers[0].bind((DESTINATION.data[0], 0))
        port = takers[0].getsockname()[1]
        takers[1].bind((DESTINATION.data[1], port))
        for taker in takers:
            taker.listen()
        lab = stack.enter_context(cli_lab({"data": f"port_range = {port}-{port}"}))
        name = lab.make("file")
        ended = lab.run(*lab.pair(name))
        assert ended.codes() == ["ports-exhausted"]
        assert "port_range" in ended.output
        assert lab.left_behind(".") == []
        assert os.listdir(lab.destination) == []
