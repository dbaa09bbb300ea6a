"""Two real movers, and storage that is no plain file system at one end or both."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.model.order import Action, Checksum, Mapped, Outcome, Policy, State
from fdtd.storage.window import WINDOW_BYTES
from tests.helpers.fakehdfs import fake_hdfs
from tests.helpers.movers import Job, Pair
from tests.helpers.s3server import BUCKET, CREDENTIALS, s3_server

MIB = 1 << 20
POLICY = Policy(streams=3, block_size=MIB)


@pytest.fixture(scope="module", autouse=True)  # before any test looks which processes there are
def s3() -> Iterator[str]:
    with s3_server() as found:
        yield found


@pytest.fixture
def tree(tmp_path: Path) -> dict[str, bytes]:
    (tmp_path / "in").mkdir()
    sizes = {"empty": 0, "small": 1000, "medium": 300_000, "large": 9 * MIB + 11}
    content = {name: os.urandom(size) for name, size in sizes.items()}
    for name, data in content.items():
        (tmp_path / "in" / name).write_bytes(data)
    return content


def run(pairs: list[Pair], storage: tuple[Mapped, ...], policy: Policy = POLICY) -> dict[int, Outcome]:
    with Job(pairs, policy, storage=storage, environment=CREDENTIALS) as job:
        outcomes = job.run()
        assert (job.reader_end.problem, job.writer_end.problem, job.writer.kept) == (None, None, [])
        return outcomes


@pytest.mark.parametrize("checksum", [Checksum.ADLER32, Checksum.NONE])
def test_a_sequential_file_system_gets_whole_files(tree: dict[str, bytes], tmp_path: Path, checksum: Checksum) -> None:
    pairs: list[Pair] = [(tmp_path / "in" / name, tmp_path / "out/deep" / name) for name in tree]
    storage = (Mapped(os.fsencode(tmp_path / "out"), "sequential"),)
    outcomes = run(pairs, storage, Policy(streams=3, block_size=MIB, checksum=checksum))
    assert [outcome.state for outcome in outcomes.values()] == [State.DONE] * len(tree)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out/deep").iterdir()} == tree


def test_the_reader_is_told_of_the_window(tree: dict[str, bytes], tmp_path: Path) -> None:
    pairs: list[Pair] = [(tmp_path / "in/large", tmp_path / "out/large")]
    with Job(pairs, POLICY, storage=(Mapped(os.fsencode(tmp_path / "out"), "sequential"),)) as job:
        job.describe()
        assert job.expect()[0].window == WINDOW_BYTES
        job.connect()
        job.release()
        job.writer.wait_end()
        assert (tmp_path / "out/large").read_bytes() == tree["large"]


def test_files_go_to_s3_and_come_back(tree: dict[str, bytes], tmp_path: Path, s3: str) -> None:
    cloud = Mapped(b"/cloud", f"s3://{BUCKET}/base?endpoint={s3}")
    there: list[Pair] = [(tmp_path / "in" / name, f"/cloud/dir/{name}".encode()) for name in tree]
    outcomes = run(there, (cloud,))
    assert [outcome.state for outcome in outcomes.values()] == [State.DONE] * len(tree)
    assert all("S3" in outcome.promise for outcome in outcomes.values())
    back: list[Pair] = [(f"/cloud/dir/{name}".encode(), tmp_path / "back" / name) for name in tree]
    outcomes = run(back, (cloud,))
    assert {path.name: path.read_bytes() for path in (tmp_path / "back").iterdir()} == tree
    assert {outcome.promise for outcome in outcomes.values()} == {""}


def test_what_is_in_the_store_already_is_compared(tree: dict[str, bytes], tmp_path: Path, s3: str) -> None:
    cloud = Mapped(b"/cloud", f"s3://{BUCKET}/compared?endpoint={s3}")
    pairs: list[Pair] = [(tmp_path / "in" / name, f"/cloud/{name}".encode()) for name in tree]
    run(pairs, (cloud,))
    (tmp_path / "in/medium").write_bytes(os.urandom(300_000))
    with Job(pairs, POLICY, storage=(cloud,), environment=CREDENTIALS) as job:
        outcomes = job.run()
        assert {verdict.action for verdict in job.verdicts.values()} == {Action.COMPARE}
    states = {name: outcomes[index].state for index, name in enumerate(tree)}
    assert states == {name: State.FAILED if name == "medium" else State.SKIPPED for name in tree}


def test_files_go_to_hdfs_and_come_back(tree: dict[str, bytes], tmp_path: Path) -> None:
    with fake_hdfs() as hdfs:
        storage = (Mapped(b"/hadoop", f"webhdfs://127.0.0.1:{hdfs.server_port}/"),)
        run([(tmp_path / "in" / name, f"/hadoop/dir/{name}".encode()) for name in tree], storage)
        assert hdfs.files == {f"/dir/{name}": data for name, data in tree.items()}
        run([(f"/hadoop/dir/{name}".encode(), tmp_path / "back" / name) for name in tree], storage)
    assert {path.name: path.read_bytes() for path in (tmp_path / "back").iterdir()} == tree


def test_a_mapped_path_outside_of_the_allowed_directories_is_refused(tree: dict[str, bytes], tmp_path: Path) -> None:
    pairs: list[Pair] = [(tmp_path / "in" / next(iter(tree)), b"/cloud/file")]
    with Job(pairs, prefixes=(os.fsencode(tmp_path),), storage=(Mapped(b"/cloud", "memory://"),)) as job:
        job.describe()
        problem = job.expect()[0].problem
        assert problem is not None and problem.code == "path-refused"
