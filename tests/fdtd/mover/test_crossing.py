"""Whole jobs between two real movers, whoever connects, encrypted or not: the same files arrive."""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from fdtcp.model.order import (
    Checksum,
    Connect,
    DestinationFile,
    Endpoint,
    Expect,
    Expected,
    Listen,
    Listening,
    Policy,
    Progress,
    Role,
    Setup,
    State,
)
from fdtd.mover.frames import Header, Kind, encode_header
from fdtd.mover.greeting import Greeting, answer
from tests.helpers.fleeting import FLEETING, KEY_BYTES
from tests.helpers.movers import SECRET, Job, Mover, Pair
from tests.helpers.wire import Link

MIB = 1 << 20
# The plain way forward is what all other tests go.
WAYS = pytest.mark.parametrize(
    ("encrypt", "reverse"), [(True, False), (False, True), (True, True)], ids=["encrypted", "reverse", "both"]
)


def make_pairs(home: Path, sizes: list[int]) -> list[Pair]:
    pairs: list[Pair] = []
    for number, size in enumerate(sizes):
        (home / f"source{number}").write_bytes(os.urandom(size))
        pairs.append((home / f"source{number}", home / "to" / str(number)))
    return pairs


def size_of(pair: Pair) -> int:
    return Path(os.fsdecode(pair[0])).stat().st_size


def check_same(pairs: list[Pair]) -> None:
    for source, target in pairs:
        assert Path(os.fsdecode(target)).read_bytes() == Path(os.fsdecode(source)).read_bytes()


@WAYS
@pytest.mark.parametrize("checksum", [Checksum.ADLER32, Checksum.NONE])
def test_files_of_all_sizes_arrive(tmp_path: Path, *, encrypt: bool, reverse: bool, checksum: Checksum) -> None:
    pairs = make_pairs(tmp_path, [0, 1, (64 << 10) + 1, MIB, MIB + 1, 17 * MIB + 13, *range(1000, 1300)])
    with Job(pairs, Policy(checksum=checksum, block_size=MIB), encrypt=encrypt, reverse=reverse) as job:
        outcomes = job.run()
        assert job.writer_end.problem is None and job.reader_end.problem is None
        log = job.reader.read_log() + job.writer.read_log()
    assert {outcome.state for outcome in outcomes.values()} == {State.DONE}
    assert ("cipher=TLS_" in log) is encrypt and ("cipher=none" in log) is not encrypt
    check_same(pairs)


@WAYS
def test_a_cut_stream_is_opened_again_by_who_connected(tmp_path: Path, *, encrypt: bool, reverse: bool) -> None:
    """In reverse the link sees answers only: some 45 of them (less if encrypted) pass before it cuts."""
    most = 1500 if reverse else 5 * MIB

    def cut_the_first(number: int, passed: int, data: bytes) -> bytes | None:
        return None if number == 0 and passed > most else data

    pairs = make_pairs(tmp_path, [24 * MIB])
    policy = Policy(streams=1, block_size=256 << 10)
    with (
        Link(cut_the_first) as link,
        Job(pairs, policy, through=link.through, encrypt=encrypt, reverse=reverse) as job,
    ):
        assert job.run()[0].state is State.DONE
        assert job.reader_end.problem is None and job.writer_end.problem is None
        assert link.connections == 2
    check_same(pairs)


@pytest.mark.parametrize(("streams", "reverse"), [(1, False), (1, True), (3, False)])
def test_a_stream_whose_key_has_carried_enough_gives_way_to_a_fresh_one(
    tmp_path: Path, streams: int, *, reverse: bool
) -> None:
    """Nothing is lost or sent twice, and no stream carries more than its key may and the block that it has begun."""
    pairs = make_pairs(tmp_path, [12 * MIB, *range(1000, 1300)])
    policy = Policy(streams=streams, block_size=256 << 10)
    with Job(pairs, policy, encrypt=True, reverse=reverse, reader_command=FLEETING, writer_command=FLEETING) as job:
        outcomes = job.run()
        assert {outcome.state for outcome in outcomes.values()} == {State.DONE}
        assert job.reader_end.problem is None and job.writer_end.problem is None
        log = job.reader.read_log() + job.writer.read_log()
        (said, *_) = [message for message in reversed(job.reader.messages) if isinstance(message, Progress)]
    assert sum(outcome.moved for outcome in outcomes.values()) == said.moved == sum(size_of(pair) for pair in pairs)
    assert len(said.streams) >= 8 and all(stream.moved <= 2 * KEY_BYTES for stream in said.streams)
    assert log.count("how=spent") >= 14, "both sides know"
    broken = [line for line in log.splitlines() if "stream-end" in line and "reason=" in line]
    assert not broken  # a successor may come too late: that is no stream
    check_same(pairs)


def test_a_reader_that_says_of_each_stream_that_its_key_is_spent_is_not_believed(tmp_path: Path) -> None:
    """The writer used to open the next one at once, hundreds of times a second, for as long as the reader liked."""
    credulous = (
        *(sys.executable, "-I", "-c"),
        "import os; from fdtd.mover import program, sending;"
        "sending.is_spent = lambda stream: True; os._exit(program.main())",
    )
    pairs = make_pairs(tmp_path, [MIB + 1])
    policy = Policy(streams=1, connect_timeout=1.0)
    with Job(pairs, policy, reverse=True, reader_command=credulous) as job:
        job.start()
        end = job.writer.wait_end()
        log = job.writer.read_log()
    assert end.problem is not None and end.problem.code == "streams-lost"
    assert log.count("stream-open") < 10


@pytest.mark.parametrize("reverse", [False, True])
def test_a_job_ends_where_no_stream_can_take_the_place_of_one_whose_key_is_spent(
    tmp_path: Path, *, reverse: bool
) -> None:
    def only_the_first(number: int, _passed: int, data: bytes) -> bytes | None:
        return None if number > 0 else data

    pairs = make_pairs(tmp_path, [24 * MIB])
    policy = Policy(streams=1, block_size=256 << 10, connect_timeout=1.0)
    with (
        Link(only_the_first) as link,
        Job(pairs, policy, through=link.through, encrypt=True, reverse=reverse, reader_command=FLEETING) as job,
    ):
        outcome = job.run()[0]
        ends = (job.reader_end, job.writer_end)
    assert [end.problem.code for end in ends if end.problem is not None] == ["streams-lost"] * 2
    assert outcome.state is State.FAILED and KEY_BYTES // 2 < outcome.moved <= 2 * KEY_BYTES


@WAYS
def test_when_all_streams_stay_dead_both_say_so(tmp_path: Path, *, encrypt: bool, reverse: bool) -> None:
    most = 1500 if reverse else 2 * MIB

    def cut_always(number: int, passed: int, data: bytes) -> bytes | None:
        return None if number > 0 or passed > most else data

    pairs = make_pairs(tmp_path, [24 * MIB])
    policy = Policy(streams=1, block_size=64 << 10, connect_timeout=1.0)
    with Link(cut_always) as link, Job(pairs, policy, through=link.through, encrypt=encrypt, reverse=reverse) as job:
        outcome = job.run()[0]
        ends = (job.reader_end, job.writer_end)
        assert job.writer.kept
    assert [end.problem.code for end in ends if end.problem is not None] == ["streams-lost"] * 2
    assert outcome.problem is not None and outcome.problem.retryable
    assert not (tmp_path / "to/0").exists()


def test_streams_that_open_and_bring_nothing_through_are_told_of_as_that(tmp_path: Path) -> None:
    """As over a path that drops full packets: the handshake and each small frame pass."""

    def swallow(_number: int, passed: int, data: bytes) -> bytes:
        return data[: max(0, 1000 - passed)]

    policy = Policy(streams=1, stall_timeout=0.3, connect_timeout=2.0)
    with Link(swallow) as link, Job(make_pairs(tmp_path, [4 * MIB]), policy, through=link.through) as job:
        job.start()
        problem = job.reader.wait_end().problem
        log = job.reader.read_log()
    assert problem is not None and problem.code == "streams-lost" and problem.retryable
    assert "nothing that was sent over them arrived" in problem.reason and "MTU" in problem.remedy
    assert "small-packets" in log


@WAYS
def test_an_attempt_goes_on_where_another_way_has_ended(tmp_path: Path, *, encrypt: bool, reverse: bool) -> None:
    pairs = make_pairs(tmp_path, [8 * MIB])
    policy = Policy(rate_limit=8 * MIB, block_size=MIB)
    with Job(pairs, policy) as job:
        job.start()
        job.reader.wait_until(lambda progress: progress.moved > 2 * MIB)
    with Job(pairs, Policy(block_size=MIB), encrypt=encrypt, reverse=reverse) as job:
        outcome = job.run()[0]
    assert outcome.state is State.DONE and outcome.kept > 0
    assert outcome.kept + outcome.moved == 8 * MIB
    check_same(pairs)


@pytest.mark.parametrize("addresses", [("::1",), ("127.1.0.2", "127.2.0.2")], ids=["IPv6", "two addresses"])
def test_the_writer_connects_over_all_addresses(tmp_path: Path, addresses: tuple[str, ...]) -> None:
    pairs = make_pairs(tmp_path, [64 * MIB])
    policy = Policy(streams=2, block_size=MIB)
    with Job(pairs, policy, addresses=addresses, reverse=True, encrypt=True) as job:
        assert job.run()[0].state is State.DONE
        used = {
            stream.local.rpartition(":")[0].strip("[]")
            for message in job.writer.messages
            for stream in getattr(message, "streams", ())
        }
    assert used == set(addresses)
    check_same(pairs)


def test_the_writer_opens_streams_by_itself(tmp_path: Path) -> None:
    pairs = make_pairs(tmp_path, [64 * MIB])
    with Job(pairs, reverse=True) as job:
        assert job.run()[0].state is State.DONE
        numbers = {s.stream for message in job.writer.messages for s in getattr(message, "streams", ())}
    assert len(numbers) == min(4, os.cpu_count() or 1)


def test_a_writer_that_connects_opens_as_many_streams_as_the_reader_says(tmp_path: Path) -> None:
    """Up to what its site allows: it cannot see what the streams meet on their way, the reader does."""
    policy = Policy(most_streams=6)
    file = DestinationFile(0, os.fsencode(tmp_path / "to"), 1 << 30, 0, 0o600, b"")
    setup = Setup(Role.WRITER, "0" * 32, (os.fsencode(tmp_path),), policy)
    with Mover(setup) as writer, socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as stack:
        server.settimeout(10)
        writer.say(Expect(0, (file,), last=True))
        writer.wait_for(Expected)
        writer.say(Connect((Endpoint("127.0.0.1", server.getsockname()[1]),), (), SECRET))
        numbers = []
        for _ in range(6):
            stream = stack.enter_context(server.accept()[0])
            greeting = Greeting(Role.READER, bytes(16), policy.checksum, SECRET)
            numbers.append(answer(stream, greeting, time.monotonic() + 10))
            stream.sendall(encode_header(Header(Kind.STREAMS, file=1000)))
        writer.wait_until(lambda progress: len(progress.streams) == 6)
        server.settimeout(0.3)
        with pytest.raises(TimeoutError):
            server.accept()
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("role", [Role.READER, Role.WRITER])
def test_a_second_way_is_refused(tmp_path: Path, role: Role) -> None:
    with Mover(Setup(role, "0" * 32, (os.fsencode(tmp_path),))) as mover:
        mover.say(Listen(("127.0.0.1",), (0,), SECRET))
        mover.say(Connect((Endpoint("127.0.0.1", 1),), (), SECRET))
        problem = mover.wait_end().problem
    assert problem is not None and problem.code == "protocol-violation"


def test_two_readers_refuse_each_other(tmp_path: Path) -> None:
    setup = Setup(Role.READER, "0" * 32, (os.fsencode(tmp_path),), Policy(connect_timeout=0.5))
    with Mover(setup) as listener, Mover(setup) as connector:
        listener.say(Listen(("127.0.0.1",), (0,), SECRET))
        connector.say(Connect(listener.wait_for(Listening).endpoints, (), SECRET))
        problem = connector.wait_end().problem
        assert "does not know the job's secret" in listener.read_log()
    assert problem is not None and problem.code == "data-connect-failed"
