"""The real command between two real daemons, one of which has HDFS behind a directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fdtcp.cli.lab import DESTINATION, SOURCE, Lab
from tests.helpers.clilab import CliLab
from tests.helpers.fakehdfs import FakeHdfs, fake_hdfs


@pytest.fixture(scope="module")
def hdfs() -> Iterator[FakeHdfs]:
    with fake_hdfs() as server:
        yield server


@pytest.fixture(scope="module")
def lab(hdfs: FakeHdfs) -> Iterator[CliLab]:
    with TemporaryDirectory(prefix="fdt-cli-") as directory:
        storage = f"/mnt/hadoop = webhdfs://127.0.0.1:{hdfs.server_port}/site\n/nowhere = memory://"
        plain = Lab(directory, {"storage": storage}, ("/mnt/hadoop",))
        plain.make()
        with plain:
            plain.start(SOURCE)
            plain.start(DESTINATION)
            (Path(directory) / "home").mkdir()
            yield CliLab(plain, Path(directory) / "home")


def pfn(lab: CliLab, host: object, path: str) -> str:
    where = SOURCE if host is SOURCE else DESTINATION
    return f"fdt://{lab.lab.daemons[where.name].authority}{path}"


def test_a_file_goes_to_hdfs_and_comes_back_and_the_report_says_what_safe_means(lab: CliLab, hdfs: FakeHdfs) -> None:
    name = lab.make("large", 3_000_000)
    there = lab.run(lab.lab.pfn(SOURCE, name), pfn(lab, DESTINATION, "/mnt/hadoop/run/large"))
    assert there.code == 0, there.output + there.errors
    assert hdfs.files == {"/site/run/large": (lab.source / name).read_bytes()}
    assert "closed and renamed by the store" in " ".join(there.report[0])
    assert "closed and renamed by the store" in str(there.result)
    back = lab.run(pfn(lab, SOURCE, "/mnt/hadoop/run/large"), lab.lab.pfn(DESTINATION, "back"))
    assert back.code == 0, back.output + back.errors
    assert (lab.destination / "back").read_bytes() == (lab.source / name).read_bytes()
    again = lab.run(lab.lab.pfn(SOURCE, name), pfn(lab, DESTINATION, "/mnt/hadoop/run/large"))
    assert (again.code, again.states()) == (0, ["skipped"])


def test_what_is_mapped_but_not_allowed_stays_out_of_reach(lab: CliLab) -> None:
    name = lab.make("small", 10)
    ended = lab.run(lab.lab.pfn(SOURCE, name), pfn(lab, DESTINATION, "/nowhere/small"))
    assert ended.code != 0
    assert ended.codes() == ["path-refused"]
    assert not os.path.exists("/nowhere")
