"""Encrypted streams: what passes, and how whoever is not meant is refused."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fdtcp.errors import ProtocolViolation
from fdtcp.model.order import (
    Action,
    Listen,
    Listening,
    Policy,
    ReleasedFile,
    Role,
    Setup,
    State,
)
from fdtd.live.ephemeral import Ephemeral, make_ephemeral
from fdtd.mover import sealing
from fdtd.mover.frames import Header, Hello, Kind, encode_header, encode_hello
from fdtd.mover.log import Log
from fdtd.mover.outbox import Outbox
from fdtd.mover.rate import RateLimit
from fdtd.mover.sealing import SealedStream, connector_context, fingerprint_of, listener_context
from fdtd.mover.sending import SendingStream
from fdtd.mover.streams import StreamBroken, is_spent, read_exactly, send_gathered, tune
from fdtd.mover.work import BlockWork
from fdtd.storage.choose import ChosenSources
from fdtd.storage.paths import Prefixes
from tests.helpers.described import describe
from tests.helpers.movers import SECRET, Job, Mover
from tests.helpers.wire import Link

MIB = 1 << 20


@pytest.fixture(scope="module")
def ephemeral() -> Ephemeral:
    return make_ephemeral()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        other, _ = server.accept()
        with one, other:
            yield one, other


def soon() -> float:
    return time.monotonic() + 5.0


def sealed_pair(ends: tuple[socket.socket, socket.socket], ephemeral: Ephemeral) -> tuple[SealedStream, SealedStream]:
    connector = SealedStream(ends[0], connector_context(), is_listener=False)
    listener = SealedStream(ends[1], listener_context(ephemeral.credential), is_listener=True)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(listener.shake_hands, soon())
        connector.shake_hands(soon())
        done.result()
    connector.check(ephemeral.fingerprint)
    for raw in ends:
        tune(raw, Policy(stall_timeout=5.0))
    return connector, listener


def test_what_is_sent_arrives_and_is_not_what_travels(
    ends: tuple[socket.socket, socket.socket], ephemeral: Ephemeral
) -> None:
    connector, listener = sealed_pair(ends, ephemeral)
    content = os.urandom(MIB)
    got = bytearray(len(content) + 5)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(read_exactly, listener, memoryview(got))
        send_gathered(connector, [content[:40], b"", content[40:], b"after"])
        done.result()
    assert bytes(got) == content + b"after"
    send_gathered(listener, [b"secret" * 10])
    assert b"secret" not in ends[0].recv(4096)


def test_bytes_that_poll_cannot_see_are_said_to_be_there(
    ends: tuple[socket.socket, socket.socket], ephemeral: Ephemeral
) -> None:
    connector, listener = sealed_pair(ends, ephemeral)
    send_gathered(connector, [b"one and two"])
    seen = [listener.has_buffered]
    assert listener.recv(3) == b"one"
    seen.append(listener.has_buffered)
    assert seen == [False, True]
    assert listener.recv(100) == b" and two"
    with pytest.raises(BlockingIOError):
        listener.recv(1, socket.MSG_DONTWAIT)


def test_another_certificate_is_refused_before_anything_is_said(
    ends: tuple[socket.socket, socket.socket], ephemeral: Ephemeral
) -> None:
    connector, _ = sealed_pair(ends, ephemeral)
    with pytest.raises(ProtocolViolation, match="another certificate"):
        connector.check(make_ephemeral().fingerprint)


def test_a_changed_byte_on_the_way_breaks_the_stream(
    ends: tuple[socket.socket, socket.socket], ephemeral: Ephemeral
) -> None:
    connector, listener = sealed_pair(ends, ephemeral)
    send_gathered(connector, [b"content"])
    record = bytearray(ends[1].recv(4096))
    record[-1] ^= 1
    listener._incoming.write(bytes(record))
    with pytest.raises(StreamBroken):
        read_exactly(listener, memoryview(bytearray(7)))


def test_a_key_carries_so_much_and_then_is_spent_and_at_last_refuses(
    ends: tuple[socket.socket, socket.socket], ephemeral: Ephemeral, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "KEY_BYTES", MIB)
    monkeypatch.setattr(sealing, "MOST_KEY_BYTES", 2 * MIB)
    connector, listener = sealed_pair(ends, ephemeral)
    piece, got = bytes(MIB // 2), memoryview(bytearray(MIB // 2))
    with ThreadPoolExecutor(1) as pool:
        spent = []
        for _ in range(3):
            done = pool.submit(read_exactly, listener, got)
            send_gathered(connector, [piece])
            done.result()
            spent.append((is_spent(connector), is_spent(listener)))
        assert spent == [(False, False), (True, True), (True, True)]
        # Neither side goes on: not who sends, and not who receives from a peer that does.
        listener._opened = 2 * MIB
        done = pool.submit(read_exactly, listener, got[:1])
        send_gathered(connector, [b"x"])
        with pytest.raises(StreamBroken, match="as much as one may"):
            done.result()
        connector._sealed = 2 * MIB
        with pytest.raises(StreamBroken, match="as much as one may"):
            send_gathered(connector, [b"x"])
    assert not is_spent(ends[0]), "a plain stream has no key"


def test_the_bounds_of_a_key_are_those_of_the_standard() -> None:
    assert sealing.KEY_BYTES < sealing.MOST_KEY_BYTES < 2**24.5 * 2**14


def test_a_credential_that_is_none_is_refused(ephemeral: Ephemeral) -> None:
    assert fingerprint_of(ephemeral.credential) == ephemeral.fingerprint
    for bad in (b"", b"rubbish", ephemeral.credential.partition(b"-----BEGIN CERT")[0]):
        with pytest.raises(ProtocolViolation):
            fingerprint_of(bad)
        with pytest.raises(ProtocolViolation):
            listener_context(bad)


# --- hostile peers ----------------------------------------------------------------------------------------------------


def old_tls(stream: socket.socket) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.raises(ssl.SSLError):
        context.wrap_socket(stream)


def knows_no_secret(stream: socket.socket) -> None:
    context = connector_context()
    with context.wrap_socket(stream) as inside:
        inside.sendall(bytes(500))
        assert inside.recv(1) == b""


HELLO = encode_hello(1, Hello(bytes(16), Policy().checksum, bytes(32)))


@pytest.mark.parametrize("role", [Role.READER, Role.WRITER])
@pytest.mark.parametrize(
    ("say", "logged"),
    [
        (lambda stream: stream.sendall(HELLO), "no TLS 1.3 with the peer"),
        (lambda stream: stream.sendall(b"GET / HTTP/1.1\r\n\r\n"), "no TLS 1.3 with the peer"),
        (old_tls, "no TLS 1.3 with the peer"),
        (knows_no_secret, "wrong checksum"),
    ],
    ids=["plain", "http", "TLS 1.2", "no secret"],
)
def test_a_listener_shows_strangers_the_door(
    tmp_path: Path, ephemeral: Ephemeral, role: Role, say: Callable[[socket.socket], None], logged: str
) -> None:
    with Mover(Setup(role, "0" * 32, (os.fsencode(tmp_path),))) as mover:
        mover.say(Listen(("127.0.0.1",), (0,), SECRET, (), ephemeral.credential))
        (endpoint,) = mover.wait_for(Listening).endpoints
        with socket.create_connection((endpoint.address, endpoint.port), timeout=10) as stranger:
            say(stranger)
            try:
                while stranger.fileno() >= 0 and stranger.recv(4096):
                    pass
            except ConnectionResetError:
                pass
        wait_for_log(mover, logged)
        assert ephemeral.credential.decode() not in mover.read_log()


def test_dripping_a_tls_handshake_wins_no_time(ends: tuple[socket.socket, socket.socket], ephemeral: Ephemeral) -> None:
    stop = threading.Event()
    client_hello = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        connector_context().wrap_bio(ssl.MemoryBIO(), client_hello).do_handshake()

    def drip() -> None:
        for byte in client_hello.read():
            if stop.wait(0.02):
                return
            ends[0].send(bytes([byte]))

    thread = threading.Thread(target=drip)
    thread.start()
    listener = SealedStream(ends[1], listener_context(ephemeral.credential), is_listener=True)
    began = time.monotonic()
    with pytest.raises(StreamBroken):
        listener.shake_hands(began + 0.2)
    assert time.monotonic() - began < 3.0  # all of it takes 5 s
    stop.set()
    thread.join()


@pytest.mark.parametrize("reverse", [False, True])
def test_a_listener_with_another_certificate_gets_nothing(tmp_path: Path, *, reverse: bool) -> None:
    (tmp_path / "source").write_bytes(b"x")
    job = Job(
        [(tmp_path / "source", tmp_path / "target")],
        Policy(connect_timeout=0.5),
        encrypt=True,
        reverse=reverse,
        fingerprint=bytes(32),
    )
    with job:
        job.start()
        connector = job.writer if reverse else job.reader
        problem = connector.wait_end().problem
        assert "another certificate" in connector.read_log()
    assert problem is not None and problem.code == "data-connect-failed" and "encrypted" in problem.reason
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("speaks_plain", ["connector", "listener"])
def test_one_side_that_does_not_encrypt_moves_nothing(tmp_path: Path, speaks_plain: str) -> None:
    (tmp_path / "source").write_bytes(b"x")
    pairs = [(tmp_path / "source", tmp_path / "target")]
    fingerprint = b"" if speaks_plain == "connector" else bytes(32)
    is_listener_sealed = speaks_plain == "connector"
    with Job(pairs, Policy(connect_timeout=0.5), encrypt=is_listener_sealed, fingerprint=fingerprint) as job:
        job.start()
        problem = job.reader.wait_end().problem
        assert "connect-failed" in job.reader.read_log()
        wait_for_log(job.writer, "stranger-refused")
    assert problem is not None and problem.code == "data-connect-failed"
    assert not (tmp_path / "target").exists()


def test_the_content_is_not_on_the_wire(tmp_path: Path) -> None:
    content = b"to be read by nobody else " * 100_000
    (tmp_path / "source").write_bytes(content)
    seen: list[bool] = []

    def look(_number: int, _passed: int, data: bytes) -> bytes:
        seen.append(b"read by nobody" in data)
        return data

    with Link(look) as link:
        pairs = [(tmp_path / "source", tmp_path / "target")]
        with Job(pairs, Policy(streams=1), encrypt=True, through=link.through) as job:
            assert job.run()[0].state is State.DONE
            assert SECRET.hex() not in job.reader.read_log() + job.writer.read_log()
    assert seen and not any(seen)


def wait_for_log(mover: Mover, words: str) -> None:
    deadline = time.monotonic() + 10
    while words not in mover.read_log():
        assert time.monotonic() < deadline, mover.read_log()
        threading.Event().wait(0.01)


def test_answers_that_came_together_are_heard_together(
    tmp_path: Path, ends: tuple[socket.socket, socket.socket], ephemeral: Ephemeral
) -> None:
    """Each is a record of its own, and poll is silent about those that were taken from the socket with the first."""
    connector, listener = sealed_pair(ends, ephemeral)
    path = tmp_path / "file"
    path.write_bytes(bytes(2 * MIB))
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        outbox = Outbox(Policy(block_size=MIB // 4), ChosenSources(prefixes, 0), Log())
        describe(outbox, path)
        outbox.release([ReleasedFile(0, Action.SEND)], last=True)
        stream = SendingStream(connector, 1, outbox, RateLimit(0), 5.0, Log())
        outbox.join(1)
        size = 0
        for _ in range(8):
            work = outbox.next(1)
            assert isinstance(work, BlockWork)
            stream._machine.dealt(work)
            outbox.sent(work)
            answer = encode_header(Header(Kind.ACK, 0, 0, 0, work.offset, work.length))
            send_gathered(listener, [answer])
            size += len(answer)
        deadline = soon()
        while len(ends[0].recv(1 << 16, socket.MSG_PEEK | socket.MSG_DONTWAIT)) < size:
            assert time.monotonic() < deadline
        stream._hear()
        assert stream._machine.is_idle
        outbox.leave(1, ())
