"""The destination's side of whole transfers between two real movers."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fdtcp.errors import Phase, Side, Status
from fdtcp.model.order import (
    Action,
    Checksum,
    Expect,
    Expected,
    Finals,
    OnExists,
    Policy,
    Role,
    SameBy,
    Setup,
    SourceGone,
    State,
    Stop,
    Sync,
)
from fdtd.mover.frames import Kind
from tests.helpers.movers import Job, Mover, Pair
from tests.helpers.peer import BLOCK, SIZE, Stage

MIB = 1 << 20


def names_below(directory: Path) -> set[bytes]:
    return {os.fsencode(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("checksum", list(Checksum))
@pytest.mark.parametrize("streams", [0, 3])
def test_files_of_all_sizes_arrive(tmp_path: Path, checksum: Checksum, streams: int) -> None:
    sizes = [0, 1, 4095, 64 << 10, (64 << 10) + 1, MIB, MIB + 1, 3 * MIB + 7, 17 * MIB + 13]
    pairs: list[Pair] = []
    for size in sizes:
        (tmp_path / f"source{size}").write_bytes(os.urandom(size))
        pairs.append((tmp_path / f"source{size}", tmp_path / "new/deep" / f"target{size}"))
    with Job(pairs, Policy(checksum=checksum, streams=streams, block_size=MIB)) as job:
        outcomes = job.run()
        assert job.writer_end.problem is None and job.reader_end.problem is None
    assert {outcome.state for outcome in outcomes.values()} == {State.DONE}
    for index, (source, target) in enumerate(pairs):
        assert Path(os.fsdecode(target)).read_bytes() == Path(os.fsdecode(source)).read_bytes()
        assert outcomes[index].size == outcomes[index].moved == sizes[index]
    assert names_below(tmp_path / "new/deep") == {f"target{size}".encode() for size in sizes}
    assert all(bool(one.checksum) is (checksum is not Checksum.NONE) for one in outcomes.values())


@pytest.mark.parametrize("name", ["näme", "with blank", b"\xff\xfe not text", b"x" * 255, b"quote\"'\n"])
def test_names_are_bytes(tmp_path: Path, name: str | bytes) -> None:
    source = os.fsencode(tmp_path) + b"/" + os.fsencode(name)
    target = os.fsencode(tmp_path) + b"/to/" + os.fsencode(name)
    with open(source, "wb") as file:
        file.write(os.urandom(MIB))
    with Job([(source, target)]) as job:
        assert job.run()[0].state is State.DONE
    with open(source, "rb") as one, open(target, "rb") as other:
        assert one.read() == other.read()


@pytest.mark.parametrize("size", [10, MIB])
def test_mode_and_time_are_kept(tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(size))
    source.chmod(0o741)
    os.utime(source, ns=(1, 1_234_567_890_123_456_789))
    with Job([(source, target)]) as job:
        assert job.run()[0].state is State.DONE
    status = target.stat()
    assert stat.S_IMODE(status.st_mode) == 0o741
    assert status.st_mtime_ns == 1_234_567_890_123_456_789


def test_many_small_files_arrive(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    pairs: list[Pair] = []
    for number in range(2500):
        source = tmp_path / "from" / str(number)
        source.write_bytes(b"%d" % number * (number % 700))
        pairs.append((source, tmp_path / "to" / str(number % 7) / str(number)))
    with Job(pairs) as job:
        outcomes = job.run()
    assert len(outcomes) == 2500
    assert all(outcome.state is State.DONE for outcome in outcomes.values())
    for one, other in pairs:
        assert Path(os.fsdecode(one)).read_bytes() == Path(os.fsdecode(other)).read_bytes()


@pytest.mark.parametrize("size", [0, 100, 2 * MIB])
@pytest.mark.parametrize("checksum", [Checksum.ADLER32, Checksum.NONE])
def test_the_same_file_is_skipped_and_not_touched(tmp_path: Path, size: int, checksum: Checksum) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(size))
    target.write_bytes(source.read_bytes())
    os.utime(target, ns=(5, 5))
    with Job([(source, target)], Policy(checksum=checksum)) as job:
        outcome = job.run()[0]
        assert job.verdicts[0].action is Action.COMPARE
    assert outcome.state is State.SKIPPED and outcome.moved == 0
    assert target.stat().st_mtime_ns == 5


def test_another_file_of_the_same_size_fails_with_exists(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"a" * MIB)
    target.write_bytes(b"b" * MIB)
    with Job([(source, target)]) as job:
        outcome = job.run()[0]
        assert job.reader_end.problem is None and job.writer_end.problem is None
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.status) == ("destination-exists", Status.EXISTS)
    assert target.read_bytes() == b"b" * MIB


def test_another_size_is_refused_in_pre_flight_and_the_rest_goes_on(tmp_path: Path) -> None:
    pairs: list[Pair] = []
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode() * 100)
        pairs.append((tmp_path / name, tmp_path / "to" / name))
    (tmp_path / "to").mkdir()
    (tmp_path / "to/a").write_bytes(b"short")
    with Job(pairs) as job:
        outcomes = job.run()
        problem = job.verdicts[0].problem
    assert problem is not None and outcomes[0].problem == problem
    assert (problem.code, problem.side, problem.phase) == ("destination-exists", Side.DESTINATION, Phase.PREFLIGHT)
    assert outcomes[1].state is State.DONE
    assert (tmp_path / "to/a").read_bytes() == b"short"


def test_same_by_size_skips_without_reading(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"a" * 100)
    target.write_bytes(b"b" * 100)
    with Job([(source, target)], Policy(same_by=SameBy.SIZE)) as job:
        assert job.run()[0].state is State.SKIPPED
        assert job.verdicts[0].action is Action.SKIP


@pytest.mark.parametrize("size", [100, 2 * MIB])
def test_overwrite_replaces(tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"a" * size)
    target.write_bytes(b"b" * 50)
    with Job([(source, target)], Policy(on_exists=OnExists.OVERWRITE)) as job:
        assert job.run()[0].state is State.DONE
    assert target.read_bytes() == b"a" * size


@pytest.mark.parametrize("sync", list(Sync))
def test_every_sync_policy_ends_in_done(tmp_path: Path, sync: Sync) -> None:
    (tmp_path / "a").write_bytes(b"a" * MIB)
    (tmp_path / "b").write_bytes(b"b")
    pairs: list[Pair] = [(tmp_path / "a", tmp_path / "to/sub/a"), (tmp_path / "b", tmp_path / "to/b")]
    with Job(pairs, Policy(sync=sync)) as job:
        assert {outcome.state for outcome in job.run().values()} == {State.DONE}


@pytest.mark.parametrize("size", [100, 2 * MIB])
def test_a_symlink_in_the_way_blocks(tmp_path: Path, size: int) -> None:
    (tmp_path / "source").write_bytes(b"a" * size)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "file").symlink_to("nowhere")
    (tmp_path / "directory").mkdir()
    targets = [tmp_path / "link/target", tmp_path / "file", tmp_path / "directory", tmp_path / "source/below"]
    with Job([(tmp_path / "source", target) for target in targets]) as job:
        outcomes = job.run()
    assert [outcomes[index].problem.code for index in range(4)] == ["destination-blocked"] * 4  # type: ignore[union-attr]  # they failed
    assert names_below(tmp_path) == {b"source", b"file"}
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_path_outside_of_the_prefixes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/source").write_bytes(b"a")
    targets = [tmp_path / "out", tmp_path / "in/../out2", tmp_path / "in/target"]
    with Job([(tmp_path / "in/source", target) for target in targets], prefixes=(os.fsencode(tmp_path / "in"),)) as job:
        outcomes = job.run()
    assert [outcomes[index].problem.code for index in range(2)] == ["path-refused"] * 2  # type: ignore[union-attr]  # they failed
    assert outcomes[2].state is State.DONE
    assert names_below(tmp_path) == {b"in/source", b"in/target"}


def test_a_file_that_is_expected_but_never_sent_fails(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(b"x")
    with Job([(tmp_path / name, tmp_path / "to" / name) for name in "ab"]) as job:
        job.describe()
        job.expect()
        job.connect()
        del job.verdicts[1]
        job.release()
        assert job.reader.wait_end().problem is None
        job.writer.wait_end()
        outcomes = job.writer.outcomes
    assert outcomes[0].state is State.DONE
    assert outcomes[1].problem is not None and outcomes[1].problem.code == "abandoned"


def test_the_null_devices_move_memory_to_memory(tmp_path: Path) -> None:
    pairs: list[Pair] = [(b"/dev/zero", b"/dev/null"), (b"/dev/zero", tmp_path / "zeros")]
    with Job(pairs, Policy(zero_size=9 * MIB + 1), prefixes=(os.fsencode(tmp_path),)) as job:
        outcomes = job.run()
    assert {outcome.state for outcome in outcomes.values()} == {State.DONE}
    assert outcomes[0].checksum == outcomes[1].checksum
    assert (tmp_path / "zeros").read_bytes() == bytes(9 * MIB + 1)


def test_stop_ends_the_job_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(os.urandom(8 * MIB))
    with Job([(tmp_path / "source", tmp_path / "to/target")], Policy(rate_limit=MIB)) as job:
        job.start()
        job.writer.wait_until(lambda progress: progress.moved > 0)
        job.writer.say(Stop(discard=True))
        end = job.writer.wait_end()
        assert end.problem is not None and end.problem.code == "abandoned"
        outcome = job.writer.outcomes[0]
        assert outcome.problem is not None and outcome.problem.code == "abandoned"
        job.reader.say(Stop(discard=True))
        job.reader.wait_end()
    assert names_below(tmp_path) == {b"source"}


def test_finals_come_while_the_job_goes_on(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x")
    (tmp_path / "large").write_bytes(os.urandom(8 * MIB))
    pairs: list[Pair] = [(tmp_path / name, tmp_path / "to" / name) for name in ("small", "large")]
    with Job(pairs, Policy(rate_limit=4 * MIB)) as job:
        job.start()
        # An idle moment makes an epoch; the large file is still on its way for two seconds.
        assert [outcome.index for outcome in job.writer.wait_for(Finals).outcomes] == [0]
        job.writer.wait_end()
        assert set(job.writer.outcomes) == {0, 1}


def test_a_second_expectation_is_answered_under_its_number(tmp_path: Path) -> None:
    setup = Setup(Role.WRITER, "0" * 32, (os.fsencode(tmp_path),))
    with Mover(setup) as writer:
        writer.say(Expect(7, (), last=False))
        assert writer.wait_for(Expected).seq == 7
        writer.say(Expect(8, (), last=True))
        assert writer.wait_for(Expected).seq == 8
        assert writer.wait_end().problem is None


# Nothing but the daemon's word ends a writer that has so much hope.
HOPEFUL = Policy(rate_limit=4 * MIB, block_size=MIB, connect_timeout=300.0, stall_timeout=300.0)


def test_a_writer_whose_source_has_ended_waits_for_no_streams(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(os.urandom(16 * MIB))
    with Job([(tmp_path / "source", tmp_path / "to/target")], HOPEFUL) as job:
        job.start()
        job.writer.wait_until(lambda progress: progress.moved >= MIB)
        job.reader.process.kill()
        job.writer.say(SourceGone())
        problem = job.writer.wait_end().problem
        outcome = job.writer.outcomes[0]
    assert problem is not None and problem.code == "streams-lost" and "source has ended" in problem.reason
    assert outcome.state is State.FAILED and outcome.problem == problem


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with closing(Stage(tmp_path)) as made:
        made.expect()
        made.listen()
        yield made


def test_a_stream_of_a_source_that_is_gone_is_ended_when_nothing_comes(stage: Stage) -> None:
    """Its host had no time to close it: between frames a stream may be silent for as long as it likes."""
    peer = stage.peer()
    peer.block(0)
    assert peer.answers(1) == [Kind.ACK]
    stage.writer.say(SourceGone())
    peer.wait_ended()
    problem = stage.outcome().problem
    assert problem is not None and problem.code == "streams-lost"
    assert len(stage.writer.kept) == 1


def test_what_has_arrived_whole_is_done_though_its_source_has_ended(stage: Stage) -> None:
    peer = stage.peer()
    peer.block(0)
    assert peer.answers(1) == [Kind.ACK]
    stage.writer.say(SourceGone())
    for offset in range(BLOCK, SIZE, BLOCK):
        peer.block(offset)
    peer.end()
    stage.check_done()


SLOW_DISK = """
import os, time
import fdtd.storage.posix_partial as posix
from fdtd.mover import program

posix.PosixPartial.sync_data = lambda self: time.sleep(1000)
os._exit(program.main())
"""


def test_a_file_that_cannot_be_let_go_of_at_the_end_has_no_outcome(tmp_path: Path) -> None:
    """Its partial stays: the daemon sweeps beside files without one."""
    (tmp_path / "source").write_bytes(os.urandom(16 * MIB))
    (tmp_path / "slow.py").write_text(SLOW_DISK)
    command = (sys.executable, str(tmp_path / "slow.py"))
    policy = Policy(rate_limit=4 * MIB, block_size=MIB)
    with Job([(tmp_path / "source", tmp_path / "to/target")], policy, writer_command=command) as job:
        job.start()
        job.writer.wait_until(lambda progress: progress.moved >= 6 * MIB)  # the first checkpoint is under way
        job.writer.say(Stop(discard=False))
        job.writer.wait_end()
        assert not job.writer.outcomes
    assert [path.suffix for path in (tmp_path / "to").iterdir()] == [".part"]
