"""The Python API between two real daemons."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from fdtcp import Client
from fdtcp.cli.lab import DESTINATION, SOURCE
from fdtcp.model.options import Options
from fdtcp.model.order import Checksum, Policy, State
from tests.helpers.clilab import CliLab, cli_lab
from tests.helpers.dataset import is_same


@pytest.fixture(scope="module")
def lab() -> Iterator[CliLab]:
    with cli_lab() as made:
        yield made


def client(lab: CliLab, options: Options | None = None) -> Client:
    return Client(proxy=lab.lab.proxy, ca_dir=lab.lab.ca_dir, options=options or Options())


def test_a_program_moves_files_and_reads_their_outcomes(lab: CliLab) -> None:
    base = lab.fresh()
    names = [lab.make(f"{base}/with blank", 5000), f"{base}/missing"]
    options = Options(Policy(checksum=Checksum.CRC32))
    result = client(lab, options).transfer([lab.pair(name) for name in names])
    first, second = result.outcomes
    assert first is not None
    assert second is not None
    assert (first.state, second.state) == (State.DONE, State.FAILED)
    assert first.checksum.startswith("crc32:")
    assert second.problem is not None
    assert second.problem.code == "source-missing"
    assert result.exit_code == 1
    assert is_same(lab.source / names[0], lab.destination / names[0])


def test_files_go_both_ways_side_by_side(lab: CliLab) -> None:
    base = lab.fresh()
    there = lab.make(f"{base}/there", 1000)
    back = f"{base}/back"
    (lab.destination / base).mkdir(parents=True)
    (lab.destination / back).write_bytes(b"back")
    pairs = [lab.pair(there), (lab.lab.pfn(DESTINATION, back), lab.lab.pfn(SOURCE, back))]
    result = client(lab).transfer(pairs)
    assert result.exit_code == 0
    assert len(result.jobs) == 2
    assert (lab.source / back).read_bytes() == b"back"


def test_a_copy_within_one_host_is_a_job_like_any_other(lab: CliLab) -> None:
    name = lab.make(f"{lab.fresh()}/file", 100_000)
    result = client(lab).transfer([(lab.lab.pfn(SOURCE, name), lab.lab.pfn(SOURCE, f"{name}-2"))])
    assert result.exit_code == 0, result.outcomes
    assert is_same(lab.source / name, lab.source / f"{name}-2")


def test_a_program_may_run_several_transfers_at_once(lab: CliLab) -> None:
    base = lab.fresh()
    names = [lab.make(f"{base}/{number}", 200_000) for number in range(4)]
    codes: list[int] = []

    def move(name: str) -> None:
        codes.append(client(lab).transfer([lab.pair(name)]).exit_code)

    threads = [threading.Thread(target=move, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert codes == [0, 0, 0, 0]
