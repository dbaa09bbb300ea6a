"""The source's side of whole transfers between two real movers."""

from __future__ import annotations

import dataclasses
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fdtcp.errors import Side
from fdtcp.model.order import Connect, Describe, Described, Endpoint, Policy, Role, Setup, SourceFile, State, Stop
from tests.helpers.movers import SECRET, Job, Mover
from tests.helpers.wire import Link

MIB = 1 << 20


def describe(prefix: Path, *paths: Path) -> list[str]:
    """Return the problem code of each path, "" for none."""
    with Mover(Setup(Role.READER, "0" * 32, (os.fsencode(prefix),))) as reader:
        reader.say(Describe(3, tuple(SourceFile(index, os.fsencode(path)) for index, path in enumerate(paths))))
        described = reader.wait_for(Described)
    assert described.seq == 3
    assert all(found.problem is None or found.problem.side is Side.SOURCE for found in described.found)
    codes = {found.index: found.problem.code if found.problem else "" for found in described.found}
    return [codes[index] for index in range(len(paths))]


def test_each_kind_of_bad_source_has_its_problem(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "good").write_bytes(b"x")
    (inside / "directory").mkdir()
    os.mkfifo(inside / "pipe")
    (tmp_path / "outside").write_bytes(b"x")
    (inside / "link").symlink_to("good")
    (inside / "leading-out").symlink_to("../outside")
    (inside / "dangling").symlink_to("nowhere")
    (inside / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(inside / "socket"))
        names = ["good", "missing", "good/below", "directory", "pipe", "socket", "link", "leading-out", "dangling"]
        paths = [inside / name for name in [*names, "loop"]] + [tmp_path / "outside", inside / ".." / "outside"]
        assert describe(inside, *paths) == [
            "",
            "source-missing",
            "source-missing",
            "source-not-a-file",
            "source-not-a-file",
            "source-not-a-file",
            "",
            "path-refused",
            "source-missing",
            "source-missing",
            "path-refused",
            "path-refused",
        ]


def test_a_symlinked_directory_is_followed_within_the_prefix(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with Job([(tmp_path / "link/file", tmp_path / "target")], prefixes=(os.fsencode(tmp_path),)) as job:
        assert job.run()[0].state is State.DONE
    assert (tmp_path / "target").read_bytes() == b"content"
    assert not (tmp_path / "target").is_symlink()


@pytest.mark.root
def test_an_unreadable_source_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "secret").chmod(0o600)
    setup = Setup(Role.READER, "0" * 32, (b"/",))
    with Mover(setup, command=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")) as reader:
        reader.say(Describe(0, (SourceFile(0, os.fsencode(tmp_path / "secret")),)))
        (found,) = reader.wait_for(Described).found
    assert found.problem is not None and found.problem.code == "source-unreadable"


@pytest.mark.parametrize("size", [1000, 8 * MIB])
@pytest.mark.parametrize(
    "change",
    [
        lambda path: os.truncate(path, 500),
        lambda path: path.write_bytes(path.read_bytes() + b"more"),
        lambda path: os.utime(path, ns=(0, 0)),
        lambda path: path.unlink(),
    ],
    ids=["shrinks", "grows", "is rewritten", "vanishes"],
)
def test_a_source_that_changes_fails_alone(tmp_path: Path, size: int, change: Callable[[Path], object]) -> None:
    pairs = []
    for name in "ab":
        (tmp_path / name).write_bytes(os.urandom(size))
        pairs.append((tmp_path / name, tmp_path / "to" / name))
    with Job(pairs) as job:
        job.describe()
        change(tmp_path / "a")
        job.expect()
        job.connect()
        job.release()
        assert job.writer.wait_end().problem is None
        assert job.reader.wait_end().problem is None
        outcomes = job.writer.outcomes
    assert outcomes[1].state is State.DONE
    problem = outcomes[0].problem
    assert problem is not None and problem.side is Side.SOURCE
    assert problem.code in ("source-changed", "source-missing")
    assert os.listdir(tmp_path / "to") == ["b"]


def test_a_source_that_changes_in_mid_file_fails(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(8 * MIB))
    with Job([(source, tmp_path / "to/target")], Policy(rate_limit=4 * MIB, block_size=MIB)) as job:
        job.start()
        job.reader.wait_until(lambda progress: progress.moved > 0)
        os.truncate(source, 5 * MIB)
        job.writer.wait_end()
        problem = job.writer.outcomes[0].problem
    assert problem is not None and problem.code == "source-changed"
    assert not os.listdir(tmp_path / "to")


def test_streams_are_spread_over_pairs_of_addresses(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(os.urandom(64 * MIB))
    policy = Policy(streams=2, block_size=MIB)
    addresses = ("127.1.0.2", "127.2.0.2")
    with Job([(tmp_path / "source", tmp_path / "target")], policy, addresses=addresses) as job:
        assert job.run()[0].state is State.DONE
        used = {
            (stream.local.split(":")[0], stream.remote.split(":")[0])
            for message in job.reader.messages
            for stream in getattr(message, "streams", ())
        }
    assert used == {("127.1.0.2", "127.1.0.2"), ("127.2.0.2", "127.2.0.2")}


def test_ipv6_works(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(os.urandom(MIB))
    with Job([(tmp_path / "source", tmp_path / "target")], addresses=("::1",)) as job:
        assert job.run()[0].state is State.DONE


def test_a_closed_port_is_a_generic_failure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    setup = Setup(Role.READER, "0" * 32, (os.fsencode(tmp_path),), Policy(connect_timeout=0.5))
    with Mover(setup) as reader:
        reader.say(Connect((Endpoint("127.0.0.1", port),), (), SECRET))
        end = reader.wait_end()
        assert "Connection refused" in reader.read_log()
    assert end.problem is not None and end.problem.code == "data-connect-failed"
    assert "refused" not in end.problem.reason


def test_a_network_that_lets_a_little_through_and_breaks_is_given_up(tmp_path: Path) -> None:
    """Each of its connections carries a whole block, so the job does get on, but at what cost."""
    (tmp_path / "source").write_bytes(os.urandom(24 * MIB))
    policy = Policy(streams=1, block_size=MIB, connect_timeout=1.0)
    with (
        Link(lambda _number, passed, data: None if passed > 2 * MIB else data) as link,
        Job([(tmp_path / "source", tmp_path / "target")], policy, through=link.through) as job,
    ):
        job.start()
        problem = job.reader.wait_end().problem
        job.writer.wait_end()
        assert link.connections == 4
    assert problem is not None and problem.code == "streams-lost"


def test_stop_ends_the_reader(tmp_path: Path) -> None:
    with Mover(Setup(Role.READER, "0" * 32, (os.fsencode(tmp_path),))) as reader:
        reader.say(Stop(discard=False))
        end = reader.wait_end()
    assert end.problem is not None and end.problem.code == "abandoned"


# What a dead mount does to whoever opens, looks at or reads a file on it; each word of the command line names the call.
HANGS = """
import os, sys, threading
import fdtd.storage.posix_source as posix
from fdtd.storage.posix_reading import PosixReading
from fdtd.mover import program

def hang(method):
    def call(self, *values):
        if os.path.basename(getattr(self, "_path", None) or values[0]).startswith(b"dead"):
            threading.Event().wait()
        return method(self, *values)
    return call

for name in sys.argv[1].split(","):
    owner = {"open": posix.PosixSources, "read": PosixReading, "look": PosixReading}.get(name, posix.PosixSource)
    setattr(owner, name, hang(getattr(owner, name)))
os._exit(program.main())
"""


def hanging(directory: Path, calls: str) -> tuple[str, ...]:
    """Return the command of a reader for which files that are called dead... hang in `calls`."""
    (directory / "hang.py").write_text(HANGS)
    return (sys.executable, str(directory / "hang.py"), calls)


# Long enough that a busy machine does not let a living file look like a dead one.
IMPATIENT = Policy(stall_timeout=2.0, connect_timeout=10.0, block_size=MIB)


# One reader: what hangs must give its place on the device back.
@pytest.mark.parametrize(("size", "streams", "readers"), [(1000, 1, 0), (4 * MIB, 1, 1), (4 * MIB, 3, 0)])
def test_a_source_that_hangs_fails_alone(tmp_path: Path, size: int, streams: int, readers: int) -> None:
    names = ["one", "dead", "two", "three"]
    pairs = [(tmp_path / name, tmp_path / "to" / name) for name in names]
    for source, _ in pairs:
        source.write_bytes(os.urandom(size))
    policy = dataclasses.replace(IMPATIENT, streams=streams, readers=readers)
    with Job(pairs, policy, reader_command=hanging(tmp_path, "read,read_into")) as job:
        job.start()
        assert job.reader.wait_end().problem is None
        assert job.writer.wait_end().problem is None
        outcomes = job.writer.outcomes
    for index, name in enumerate(names):
        problem = outcomes[index].problem
        if name.startswith("dead"):
            assert problem is not None and problem.code == "source-hangs" and problem.side is Side.SOURCE
        else:
            assert outcomes[index].state is State.DONE and pairs[index][1].read_bytes() == pairs[index][0].read_bytes()
    assert sorted(os.listdir(tmp_path / "to")) == sorted(["one", "two", "three"])


def test_a_source_that_hangs_in_its_last_look_fails_alone(tmp_path: Path) -> None:
    """All of its bytes have arrived; nobody says any more that they are the right ones."""
    for name in ("dead", "good"):
        (tmp_path / name).write_bytes(os.urandom(MIB + 1))
    pairs = [(tmp_path / name, tmp_path / "to" / name) for name in ("dead", "good")]
    with Job(pairs, IMPATIENT, reader_command=hanging(tmp_path, "facts")) as job:
        job.start()
        assert job.reader.wait_end().problem is None
        job.writer.wait_end()
        outcomes = job.writer.outcomes
    assert outcomes[0].problem is not None and outcomes[0].problem.code == "source-hangs"
    assert outcomes[1].state is State.DONE and os.listdir(tmp_path / "to") == ["good"]


def test_a_source_that_hangs_when_it_is_closed_costs_its_stream_and_no_file(tmp_path: Path) -> None:
    for name in ("dead", "good"):
        (tmp_path / name).write_bytes(os.urandom(MIB + 1))
    pairs = [(tmp_path / name, tmp_path / "to" / name) for name in ("dead", "good")]
    policy = dataclasses.replace(IMPATIENT, streams=1, connect_timeout=1.0)
    with Job(pairs, policy, reader_command=hanging(tmp_path, "close")) as job:
        job.start()
        assert job.writer.wait_end().problem is None
        job.reader.wait_end()  # with a problem if the writer has gone before all its answers were heard
        assert {outcome.state for outcome in job.writer.outcomes.values()} == {State.DONE}
        assert "code=source-hangs" in job.reader.read_log()


def test_a_file_system_on_which_everything_hangs_ends_the_reader(tmp_path: Path) -> None:
    pairs = [(tmp_path / f"dead{number}", tmp_path / "to" / str(number)) for number in range(8)]
    for source, _ in pairs:
        source.write_bytes(os.urandom(MIB + 1))
    policy = dataclasses.replace(IMPATIENT, streams=1, stall_timeout=0.5)
    with Job(pairs, policy, reader_command=hanging(tmp_path, "read_into")) as job:
        job.start()
        problem = job.reader.wait_end().problem
        job.reader.process.wait(2)
        job.writer.say(Stop(discard=False))
        job.writer.wait_end()
        outcomes = job.writer.outcomes
    assert problem is not None and problem.code == "source-hangs" and "4 reads" in problem.reason
    assert {outcome.state for outcome in outcomes.values()} == {State.FAILED} and len(outcomes) == 8


def test_pre_flight_fails_what_hangs_and_looks_at_the_rest(tmp_path: Path) -> None:
    names = ["good", "dead", "good too", "dead end"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    setup = Setup(Role.READER, "0" * 32, (os.fsencode(tmp_path),), IMPATIENT)
    files = tuple(SourceFile(index, os.fsencode(tmp_path / name)) for index, name in enumerate(names))
    with Mover(setup, command=hanging(tmp_path, "look")) as reader:
        reader.say(Describe(0, files))
        found = {one.index: one.problem for one in reader.wait_for(Described).found}
        reader.say(Stop(discard=False))
        reader.wait_end()
    codes = {names[index]: problem.code if problem else "" for index, problem in found.items()}
    assert codes == {"good": "", "dead": "source-hangs", "good too": "", "dead end": "source-hangs"}
