"""What a damaged, cut or black-holed network does to a transfer between two real movers: nothing wrong, ever."""

from __future__ import annotations

import errno
import os
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fdtcp.model.order import Action, Checksum, DestinationFile, Policy, State, StreamProgress, Verdict
from fdtd.mover.frames import HEADER_BYTES, Header, Kind, decode_header, encode_header, encode_trailer
from fdtd.mover.landing import Landing
from fdtd.mover.log import Log
from fdtd.mover.preflight import Decision
from fdtd.mover.rate import RateLimit
from fdtd.mover.receiving import ReceivingStream
from fdtd.mover.streams import Ending
from fdtd.storage.choose import ChosenDestinations
from fdtd.storage.paths import Prefixes
from tests.helpers.movers import Job
from tests.helpers.wire import Link

MIB = 1 << 20
BLOCK_BYTES = 3 * MIB + 17


def flip_once(at: int) -> Callable[[int, int, bytes], bytes]:
    """Flip one bit of the first connection, `at` bytes after its start."""

    def disturb(number: int, passed: int, data: bytes) -> bytes:
        if number == 0 and passed <= at < passed + len(data):
            changed = bytearray(data)
            changed[at - passed] ^= 0x10
            return bytes(changed)
        return data

    return disturb


@pytest.mark.parametrize("checksum", [Checksum.ADLER32, Checksum.CRC32])
def test_a_flipped_bit_costs_one_block(tmp_path: Path, checksum: Checksum) -> None:
    (tmp_path / "source").write_bytes(os.urandom(8 * MIB))
    policy = Policy(checksum=checksum, streams=1, block_size=MIB)
    with (
        Link(flip_once(3 * MIB)) as link,
        Job([(tmp_path / "source", tmp_path / "target")], policy, through=link.through) as job,
    ):
        outcome = job.run()[0]
        assert outcome.state is State.DONE and outcome.moved == 8 * MIB
        assert "block-refused" in job.reader.read_log()
        # What crossed the network: the file, and one block again.
        assert stream_totals(job)[1].moved == 9 * MIB
    assert (tmp_path / "target").read_bytes() == (tmp_path / "source").read_bytes()


def test_a_flipped_bit_in_a_batch_costs_one_small_file(tmp_path: Path) -> None:
    pairs = []
    for number in range(50):
        (tmp_path / f"s{number}").write_bytes(os.urandom(5000))
        pairs.append((tmp_path / f"s{number}", tmp_path / "to" / str(number)))
    with Link(flip_once(100_000)) as link, Job(pairs, Policy(streams=1), through=link.through) as job:
        assert all(outcome.state is State.DONE for outcome in job.run().values())
        assert job.reader.read_log().count("block-refused") == 1
    for source, target in pairs:
        assert source.read_bytes() == target.read_bytes()


@pytest.mark.parametrize("at", [0, 40, 130, 180, 2 * MIB + 500])
def test_a_flipped_bit_anywhere_is_never_written(tmp_path: Path, at: int) -> None:
    """Also in a handshake, or in a header or trailer (at 2 MiB there is one within the next 500 bytes)."""
    (tmp_path / "source").write_bytes(os.urandom(4 * MIB))
    policy = Policy(streams=1, block_size=MIB, connect_timeout=5.0)
    with (
        Link(flip_once(at)) as link,
        Job([(tmp_path / "source", tmp_path / "target")], policy, through=link.through) as job,
    ):
        assert job.run()[0].state is State.DONE
    assert (tmp_path / "target").read_bytes() == (tmp_path / "source").read_bytes()


@pytest.mark.parametrize("checksum", [Checksum.ADLER32, Checksum.NONE])
def test_a_cut_stream_is_opened_again_and_only_its_blocks_travel_again(tmp_path: Path, checksum: Checksum) -> None:
    def cut_the_first_two(number: int, passed: int, data: bytes) -> bytes | None:
        return None if number < 2 and passed > 5 * MIB else data

    (tmp_path / "source").write_bytes(os.urandom(24 * MIB))
    policy = Policy(checksum=checksum, streams=2, block_size=MIB)
    with (
        Link(cut_the_first_two) as link,
        Job([(tmp_path / "source", tmp_path / "target")], policy, through=link.through) as job,
    ):
        assert job.run()[0].state is State.DONE
        assert job.reader_end.problem is None
        assert link.connections > 2
    assert (tmp_path / "target").read_bytes() == (tmp_path / "source").read_bytes()


def test_a_black_holed_stream_counts_as_dead_and_its_block_travels_on_another(tmp_path: Path) -> None:
    hole = threading.Event()

    def swallow(number: int, passed: int, data: bytes) -> bytes:
        if number == 0 and passed > 3 * MIB:
            hole.set()
            return b""
        return data

    (tmp_path / "source").write_bytes(os.urandom(16 * MIB))
    policy = Policy(streams=2, block_size=MIB, stall_timeout=1.5)
    with Link(swallow) as link, Job([(tmp_path / "source", tmp_path / "target")], policy, through=link.through) as job:
        assert job.run()[0].state is State.DONE
    assert hole.is_set()
    assert (tmp_path / "target").read_bytes() == (tmp_path / "source").read_bytes()


def test_when_all_streams_stay_dead_the_rest_fails_as_retryable(tmp_path: Path) -> None:
    def cut_always(number: int, passed: int, data: bytes) -> bytes | None:
        return None if number > 0 or passed > 2 * MIB else data

    (tmp_path / "first").write_bytes(b"x" * 10)
    (tmp_path / "source").write_bytes(os.urandom(8 * MIB))
    policy = Policy(streams=1, block_size=MIB, connect_timeout=1.0)
    pairs = [(tmp_path / "first", tmp_path / "to/first"), (tmp_path / "source", tmp_path / "to/target")]
    with Link(cut_always) as link, Job(pairs, policy, through=link.through) as job:
        outcomes = job.run()
        assert job.reader_end.problem is not None and job.reader_end.problem.code == "streams-lost"
        assert job.writer_end.problem is not None and job.writer_end.problem.code == "streams-lost"
        assert job.writer.kept  # its first two blocks are safe
    assert outcomes[0].state is State.DONE
    assert outcomes[1].problem is not None
    assert (outcomes[1].problem.code, outcomes[1].problem.retryable) == ("streams-lost", True)
    assert not (tmp_path / "to/target").exists()


def stream_totals(job: Job) -> dict[int, StreamProgress]:
    """Return what each stream has said of itself last."""
    from fdtcp.model.order import Progress

    return {
        stream.stream: stream
        for message in job.reader.messages
        if isinstance(message, Progress)
        for stream in message.streams
    }


def test_a_stream_that_ended_leaves_nothing_in_memory(tmp_path: Path) -> None:
    """Of each encrypted one 150 kB used to stay: a mover does not look for cycles, and streams are opened for days."""
    with Prefixes([os.fsencode(tmp_path)]) as prefixes, socket.create_server(("127.0.0.1", 0)) as server:
        landing = Landing(Policy(), ChosenDestinations(prefixes), Log())
        client = socket.create_connection(server.getsockname())
        finished, finish = os.pipe()
        stream = ReceivingStream(server.accept()[0], 1, landing, finished, Log(), RateLimit(0))
        before = len(stream._buffer)
        client.close()
        assert stream.run() is Ending.BARREN
        assert before and not stream._buffer
        gone = weakref.ref(stream)
        del stream
        assert gone() is None
        os.close(finished)
        os.close(finish)


@contextmanager
def receiving(tmp_path: Path, files: int) -> Iterator[tuple[Landing, socket.socket]]:
    """Receive blocks without a checksum, each a file; the socket is the sender's."""
    with Prefixes([os.fsencode(tmp_path)]) as prefixes, socket.create_server(("127.0.0.1", 0)) as server:
        landing = Landing(Policy(checksum=Checksum.NONE), ChosenDestinations(prefixes), Log())
        for index in range(files):
            file = DestinationFile(index, os.fsencode(tmp_path / f"to{index}"), BLOCK_BYTES, 1, 0o600, b"")
            landing.expect(file, Decision(Verdict(index, Action.SEND)))
        finished, finish = os.pipe()
        with socket.create_connection(server.getsockname()) as client:
            client.settimeout(30)
            stream = ReceivingStream(server.accept()[0], 1, landing, finished, Log(), RateLimit(0))
            thread = threading.Thread(target=stream.run)
            thread.start()
            yield landing, client
        thread.join(30)
        assert not thread.is_alive()
        os.close(finished)
        os.close(finish)


def send_block(client: socket.socket, file: int, content: bytes) -> list[Kind]:
    """Send a whole file; returns the answers up to the one that is about its block."""
    client.sendall(encode_header(Header(Kind.BLOCK, 0, 0, file, 0, len(content))) + content + encode_trailer(0))
    answers: list[Kind] = []
    while not answers or answers[-1] is Kind.FILE_DONE:
        answers.append(decode_header(client.recv(HEADER_BYTES, socket.MSG_WAITALL)).kind)
    return answers


def count_pipes() -> int:
    """Return how many ends of pipes are open here."""
    with os.scandir("/proc/self/fd") as found:
        return sum(os.readlink(one.path).startswith("pipe:") for one in found if one.is_symlink())


@pytest.mark.parametrize("what", ["os.pipe2", "fcntl.fcntl"])
def test_where_there_may_be_no_more_pipes_bytes_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    content = os.urandom(BLOCK_BYTES)
    with receiving(tmp_path, 1) as (landing, client):
        monkeypatch.setattr(f"fdtd.mover.receiving.{what}", refuse)
        before = count_pipes()
        assert send_block(client, 0, content) == [Kind.ACK]
        partial = landing.holdings[0].partial
        assert os.pread(partial.descriptor, 2 * BLOCK_BYTES, 0) == content
        assert count_pipes() == before


def test_what_a_file_refuses_does_not_get_into_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.splice

    def full(source: int, target: int, count: int, **options: int) -> int:
        if os.readlink(f"/proc/self/fd/{target}").startswith(f"{tmp_path}/.to0.") and options["offset_dst"] > MIB:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(source, target, count, **options)

    content = os.urandom(BLOCK_BYTES)
    with receiving(tmp_path, 2) as (landing, client):
        monkeypatch.setattr("fdtd.mover.receiving.os.splice", full)
        assert send_block(client, 0, bytes(BLOCK_BYTES)) == [Kind.FILE_DONE, Kind.ACK]
        assert send_block(client, 1, content) == [Kind.ACK]
        assert os.pread(landing.holdings[1].partial.descriptor, 2 * BLOCK_BYTES, 0) == content
    assert [(one.index, one.problem and one.problem.code) for one in landing.outcomes] == [(0, "destination-full")]
