"""Who is let in at a writer's door."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from fdtcp.model.order import Endpoint, Listen, Listening, Policy, Role, Setup, State
from fdtd.mover import accepting
from fdtd.mover.accepting import HANDSHAKE_S, MAX_STRANGERS, Door
from fdtd.mover.frames import HEADER_BYTES, Header, Hello, Kind, decode_header, encode_header, encode_hello
from fdtd.mover.greeting import Greeting
from fdtd.mover.log import Log
from fdtd.mover.roster import Roster, Stream
from tests.helpers.movers import SECRET, Job, Mover


def test_a_reader_with_another_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    policy = Policy(connect_timeout=0.5)
    with Job([(tmp_path / "source", tmp_path / "target")], policy, secret_of_connector=b"wrong" * 7) as job:
        job.start()
        end = job.reader.wait_end()
        assert "does not know the job's secret" in job.writer.read_log()
    assert end.problem is not None and end.problem.code == "data-connect-failed"
    assert not (tmp_path / "target").exists()


def test_ports_that_are_taken_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = (taken.getsockname()[1], 0)
        with Job([(tmp_path / "source", tmp_path / "target")], ports=ports) as job:
            assert job.run()[0].state is State.DONE


def test_when_all_ports_are_taken_the_writer_says_so(tmp_path: Path) -> None:
    setup = Setup(Role.WRITER, "0" * 32, (os.fsencode(tmp_path),))
    with socket.create_server(("127.0.0.1", 0)) as taken, Mover(setup) as writer:
        writer.say(Listen(("127.0.0.1",), (taken.getsockname()[1],), SECRET))
        problem = writer.wait_end().problem
    assert problem is not None and (problem.code, problem.retryable) == ("ports-exhausted", True)


def listening_writer(tmp_path: Path, peers: tuple[str, ...] = ()) -> tuple[Mover, tuple[str, int]]:
    writer = Mover(Setup(Role.WRITER, "0" * 32, (os.fsencode(tmp_path),)))
    writer.say(Listen(("127.0.0.1",), (0,), SECRET, peers))
    (endpoint,) = writer.wait_for(Listening).endpoints
    return writer, (endpoint.address, endpoint.port)


def is_closed(stream: socket.socket) -> bool:
    stream.settimeout(8)
    try:
        return stream.recv(1) == b""
    except ConnectionResetError:
        return True


HELLO = encode_hello(1, Hello(bytes(16), Policy().checksum, bytes(32)))


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n" * 3,
        bytes(200),
        encode_header(Header(Kind.BLOCK, 0, 0, 0, 0, 1 << 29)) + bytes(64),
        encode_header(Header(Kind.HELLO, 0, 0, 0, 0, 1 << 60)) + bytes(64),
        HELLO[:-1] + b"\xff",
        HELLO + encode_header(Header(Kind.AUTH, 0, 0, 0, 0, 32)) + bytes(32),
        HELLO + HELLO,
        struct.pack(">I", 0xFFFFFFFF) * 40,
    ],
    ids=["http", "zeros", "block first", "huge hello", "damaged", "bad proof", "hello twice", "ones"],
)
def test_strangers_are_shown_the_door(tmp_path: Path, said: bytes) -> None:
    writer, address = listening_writer(tmp_path)
    with writer, socket.create_connection(address) as stranger:
        stranger.sendall(said)
        answer = b""
        stranger.settimeout(8)
        try:
            while data := stranger.recv(4096):
                answer += data
        except ConnectionResetError:
            pass
        # At most a challenge, never a proof: the listener signs for nobody who has not proven himself.
        kinds = [decode_header(answer[:HEADER_BYTES]).kind] if answer else []
        assert kinds in ([], [Kind.CHALLENGE]) and len(answer) <= HEADER_BYTES + 32
        assert writer.process.poll() is None


def test_addresses_that_are_no_peers_are_refused(tmp_path: Path) -> None:
    writer, address = listening_writer(tmp_path, peers=("127.9.9.9",))
    with writer, socket.create_connection(address) as stranger:
        assert is_closed(stranger)


def test_the_oldest_of_too_many_strangers_makes_room(tmp_path: Path) -> None:
    writer, address = listening_writer(tmp_path)
    strangers: list[socket.socket] = []
    try:
        with writer:
            strangers.extend(socket.create_connection(address) for _ in range(MAX_STRANGERS + 1))
            strangers[0].settimeout(HANDSHAKE_S / 2)
            assert strangers[0].recv(1) == b""  # long before its own time was up
            strangers[-1].sendall(HELLO)
            strangers[-1].settimeout(HANDSHAKE_S)
            assert decode_header(strangers[-1].recv(HEADER_BYTES)).kind is Kind.CHALLENGE
    finally:
        for stranger in strangers:
            stranger.close()


def test_silent_strangers_do_not_keep_the_reader_out(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    strangers: list[socket.socket] = []
    try:
        with Job([(tmp_path / "source", tmp_path / "target")]) as job:
            job.describe()
            job.expect()

            def crowd(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
                address = (endpoints[0].address, endpoints[0].port)
                strangers.extend(socket.create_connection(address) for _ in range(MAX_STRANGERS + 10))
                return endpoints

            job.through = crowd
            job.connect()
            job.release()
            assert job.writer.wait_end().problem is None
            assert job.writer.outcomes[0].state is State.DONE
    finally:
        for stranger in strangers:
            stranger.close()


class CrowdedListener:
    """Has somebody waiting at it, whom there is no descriptor for."""

    family = socket.AF_INET

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        os.write(self._write_end, b"x")
        self.asked = 0

    def fileno(self) -> int:
        return self.read_end

    def setblocking(self, _: bool) -> None:
        pass

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 1

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        self.asked += 1
        raise OSError(errno.EMFILE, "Too many open files")

    def close(self) -> None:
        os.close(self.read_end)
        os.close(self._write_end)


GREETING = Greeting(Role.WRITER, bytes(16), Policy().checksum, SECRET)


def test_a_door_without_descriptors_waits_instead_of_spinning(monkeypatch: pytest.MonkeyPatch) -> None:
    crowded = CrowdedListener()
    waits: list[float] = []
    enough = threading.Event()

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            enough.set()
        threading.Event().wait(0.001)

    monkeypatch.setattr(accepting, "listen", lambda *_: crowded)
    monkeypatch.setattr(time, "sleep", wait)
    order = Listen(("127.0.0.1",), (0,), SECRET)
    roster: Roster[Stream] = Roster(lambda *_: pytest.fail("nobody came"), 1, lambda: None)
    door = Door(order, Policy(), GREETING, roster, Log())
    door.open()
    assert enough.wait(10)
    threads = [thread for thread in threading.enumerate() if thread.name == "door"]
    door.close()
    for thread in threads:
        thread.join(10)
    assert crowded.asked <= len(waits) + 1 and min(waits) > 0.01
