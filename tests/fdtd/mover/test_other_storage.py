"""Two real movers, and storage that is no plain file system at one end or both."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.model.order import Action, Checksum, Mapped, Outcome, Policy, State
from fdtd.storage.names import partial_name
from fdtd.storage.window import WINDOW_BYTES
from tests.helpers.movers import Job, Pair
from tests.helpers.s3server import BUCKET, CREDENTIALS, s3_server
from tests.helpers.wire import Link

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


@pytest.mark.parametrize("kind", ["sequential", "s3"])
def test_blocks_that_are_damaged_or_lost_on_the_way_come_again_in_order(tmp_path: Path, s3: str, kind: str) -> None:
    content = os.urandom(24 * MIB)
    (tmp_path / "file").write_bytes(content)

    def disturb(number: int, passed: int, data: bytes) -> bytes | None:
        """Cut the second stream after 5 MiB; flip a bit in the first of every 3 MiB, early on."""
        if number == 1 and passed > 5 * MIB:
            return None
        if passed < 12 * MIB and passed // (3 * MIB) != (passed + len(data)) // (3 * MIB):
            return bytes([data[0] ^ 1]) + data[1:]
        return data

    url = "sequential" if kind == "sequential" else f"s3://{BUCKET}/flips?endpoint={s3}"
    storage = (Mapped(os.fsencode(tmp_path / "out"), url),)
    policy = Policy(streams=3, block_size=MIB, connect_timeout=5.0)
    pairs: list[Pair] = [(tmp_path / "file", tmp_path / "out/file")]
    with (
        Link(disturb) as link,
        Job(pairs, policy, through=link.through, storage=storage, environment=CREDENTIALS) as job,
    ):
        assert job.run()[0].state is State.DONE
        # A bit of a header ends its stream, one of a payload costs a block.
        assert " warning " in job.reader.read_log()
    run([(tmp_path / "out/file", tmp_path / "back")], storage)
    assert (tmp_path / "back").read_bytes() == content


def test_what_a_killed_writer_leaves_is_started_over(tmp_path: Path) -> None:
    content = os.urandom(8 * MIB)
    (tmp_path / "file").write_bytes(content)
    storage = (Mapped(os.fsencode(tmp_path / "out"), "sequential"),)
    pairs: list[Pair] = [(tmp_path / "file", tmp_path / "out/file")]
    with Job(pairs, Policy(rate_limit=8 * MIB, block_size=MIB), storage=storage) as job:
        job.start()
        job.writer.wait_until(lambda progress: progress.moved > MIB)
        job.writer.process.kill()
        job.reader.process.kill()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [os.fsdecode(partial_name(b"file"))]
    outcome = run(pairs, storage)[0]
    assert (outcome.state, outcome.kept, outcome.moved) == (State.DONE, 0, len(content))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]
    assert (tmp_path / "out/file").read_bytes() == content


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


def test_a_mapped_path_outside_of_the_allowed_directories_is_refused(tree: dict[str, bytes], tmp_path: Path) -> None:
    pairs: list[Pair] = [(tmp_path / "in" / next(iter(tree)), b"/cloud/file")]
    with Job(pairs, prefixes=(os.fsencode(tmp_path),), storage=(Mapped(b"/cloud", "memory://"),)) as job:
        job.describe()
        problem = job.expect()[0].problem
        assert problem is not None and problem.code == "path-refused"
