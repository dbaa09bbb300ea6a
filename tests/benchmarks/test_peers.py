from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.contest import Contest, hold
from benchmarks.data import Files, Places
from benchmarks.figures import Figure
from benchmarks.peers.base import Peer, free_port
from benchmarks.peers.fdt import Fdtcp
from benchmarks.peers.flows import Iperf3, Nuttcp
from benchmarks.peers.gridftp import GridFtp, data_seconds
from benchmarks.peers.local import Cp, Dd, TarNc
from benchmarks.peers.rclone import Rclone
from benchmarks.peers.rsync import Rsync
from benchmarks.peers.xrootd import Xrootd
from benchmarks.work import DESTINATION, SOURCE, WHOLE_COMMAND, Flow

COPIERS: tuple[Peer, ...] = (
    Cp(),
    TarNc(),
    Fdtcp(),
    GridFtp("gridftp"),
    GridFtp("gridftp -cc 2 -pp, third party", ["-cc", "2", "-pp"], third_party=True),
    GridFtp("gridftp, GSI, third party", third_party=True, gsi=True),
    GridFtp("gridftp with md5", checksum="MD5"),
    GridFtp("gridftp with adler32, third party", third_party=True, checksum="ADLER32"),
    Rsync(),
    Rclone("rclone", 2),
    Xrootd("xrdcp"),
)


def chance() -> random.Random:
    return random.Random(1)  # noqa: S311  # the order of rounds


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a directory that servers under accounts of their own can reach, which pytest's are not."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def compete(peers: tuple[Peer, ...], work: Files | Flow, place: Path) -> None:
    """Hold a contest; whoever is installed has to come to its end."""
    absent = {peer.label: why for peer in peers if (why := peer.absence())}
    result = hold(Contest("x", work, peers), Places(place, place), 1, chance(), lambda _: None)
    assert result.absent == absent
    for label in result.labels():
        measurement = result.rounds[0][label]
        assert 0 < measurement.data_s <= measurement.whole_s + 1
        assert measurement.usage.keys() & {SOURCE, DESTINATION}
    assert not list(place.iterdir())


def test_all_that_are_installed_can_copy_files(place: Path) -> None:
    compete(COPIERS, Files(3, 10_000), place)


@pytest.mark.long
def test_all_that_are_installed_can_copy_one_file(place: Path) -> None:
    compete(COPIERS, Files(1, 10_000), place)


@pytest.mark.long
def test_all_that_are_installed_can_make_it_durable(place: Path) -> None:
    compete((Cp(), Dd(), GridFtp("gridftp"), Fdtcp()), Files(1, 10_000, is_durable=True), place)


@pytest.mark.long
def test_all_that_are_installed_can_send_from_memory_to_memory(place: Path) -> None:
    compete((Iperf3(), Nuttcp(), Fdtcp()), Flow(2, 1_000_000, 1.0), place)


def test_a_program_that_is_not_installed_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert Rsync().absence() == "rsync not installed (Debian: rsync)"
    assert Fdtcp().absence() == ""


def test_the_time_of_gridftp_is_from_the_first_start_to_the_last_end() -> None:
    line = "DATE={} HOST=h PROG=globus-gridftp-server NL.EVNT=FTP_INFO START={} USER=root FILE=/x BUFFER=0\n"
    log = line.format("20261122120001.500000", "20261122120000.250000")
    log += line.format("20261122120003.000000", "20261122120000.750000")
    assert data_seconds(log) == pytest.approx(2.75)
    assert data_seconds("") is None
    now = "20261122120001.500000"
    assert (data_seconds(line.format(now, now)) or 0) > 0


def test_gridftp_with_sums_takes_until_they_were_compared(place: Path) -> None:
    peers = [GridFtp("without"), GridFtp("with", third_party=True, checksum="ADLER32")]
    absent = {peer.label: why for peer in peers if (why := peer.absence())}
    result = hold(Contest("x", Files(2, 10_000), tuple(peers)), Places(place, place), 1, chance(), lambda _: None)
    assert result.absent == absent
    for label, timed_by in (("without", "the server's transfer log"), ("with", WHOLE_COMMAND)):
        assert label in absent or result.rounds[0][label].timed_by == timed_by


def test_gridftp_does_not_go_on_without_a_sum_that_it_was_asked_for(place: Path) -> None:
    peer = GridFtp("gridftp", checksum="ADLER32")
    result = hold(Contest("x", Files(1, 10_000), (peer,)), Places(place, place), 1, chance(), lambda _: None)
    # The client has no other sum for its own files than MD5.
    assert peer.absence() or "ADLER32" in result.absent["gridftp"]


def test_a_free_port_is_free() -> None:
    assert 1024 <= free_port() < 65536


def test_figures_have_units() -> None:
    assert all(figure.unit for figure in Figure)
