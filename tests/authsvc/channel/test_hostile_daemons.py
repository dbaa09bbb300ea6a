"""A daemon with a good certificate and bad manners meets our client."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgpack
import pytest

from authsvc.channel import Connection
from authsvc.errors import (
    ChannelLost,
)
from fdtcp.errors import DestinationBusy, Phase, ProtocolViolation, RemoteProblem, Side, Unreachable
from tests.authsvc.listening import HOST, receive, send_text
from tests.authsvc.pyroframes import EXIT_MAP, HEADER, PROXY_MAP, RESULT, frame
from tests.helpers.pki import Pki

HELLO = b'{"ok": true, "dn": "/CN=x", "account": "x", "limited": false, "version": "evil"}'


def open_at(pki: Pki, address: tuple[str, int], *, patience_s: float = 5) -> Connection:
    return Connection.open(
        *address,
        credential=pki.proxy,
        ca_dir=pki.certificates,
        deadline=time.monotonic() + patience_s,
    )


@contextmanager
def impostor(pki: Pki, behave: Callable[[ssl.SSLSocket], object], *, tls: bool = True) -> Iterator[tuple[str, int]]:
    """Be a daemon with a good certificate and bad manners, for one connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.host.cert_path, pki.host.key_path)
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            raw, _ = listener.accept()
            raw.settimeout(10)
            try:
                with context.wrap_socket(raw, server_side=True) if tls else raw as sock:
                    behave(sock)  # type: ignore[arg-type]  # a plain socket where no TLS was asked for
            except OSError:
                pass  # the client has left

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            thread.join(15)


def greet(sock: ssl.SSLSocket, hello: bytes = HELLO) -> None:
    (size,) = struct.unpack("!I", receive(sock, 4))
    receive(sock, size)
    send_text(sock, hello)


def answer_with(data: bytes) -> Callable[[ssl.SSLSocket], None]:
    def behave(sock: ssl.SSLSocket) -> None:
        greet(sock)
        fields = HEADER.unpack(receive(sock, HEADER.size))
        receive(sock, fields[6])
        sock.sendall(data)
        sock.recv(1)

    return behave


def reply(value: object, **options: int) -> bytes:
    return frame(msgpack.packb(value), kind=RESULT, **options)  # type: ignore[arg-type]  # numbers only


PROBLEM = DestinationBusy("x").problem(Side.DESTINATION, Phase.SERVICE).encode()
HOSTILE_REPLIES = {
    "SystemExit(0)": reply({"ok": EXIT_MAP}),
    "SystemExit(0) as the whole reply": reply(EXIT_MAP),
    "SystemExit(0) raised": reply(EXIT_MAP, flags=1),
    "a proxy that dials out": reply({"ok": {"x": PROXY_MAP}}),
    "a stream": reply({"ok": {}}, flags=16),
    "a compressed reply": reply({"ok": {}}, flags=2),
    "marshal": reply({"ok": {}}, serializer=2),
    "a call instead of a reply": frame(msgpack.packb({"ok": {}}), kind=4),
    "four gigabytes": frame(b"", kind=RESULT, size=0xFFFFFFFF),
    "both": reply({"ok": {}, "error": {}}),
    "neither": reply({}),
    "something else": reply([1]),
    "a result that is no map": reply({"ok": 7}),
    "a problem that is none": reply({"error": {"code": 1}}),
    "a problem of an unknown side": reply(
        {"error": {"code": "x", "reason": "", "remedy": "", "retryable": True, "side": "moon"}}
    ),
    "no Pyro at all": b"HTTP/1.0 200 OK\r\n\r\n" + bytes(60),
}


@pytest.mark.parametrize("kind", HOSTILE_REPLIES)
def test_a_hostile_reply_is_a_protocol_violation_and_nothing_else(kind: str, pki: Pki) -> None:
    with impostor(pki, answer_with(HOSTILE_REPLIES[kind])) as address, open_at(pki, address) as connection:
        with pytest.raises(ProtocolViolation):
            connection.call("echo", {}, 5)
        with pytest.raises(ChannelLost, match="is closed"):
            connection.call("echo", {}, 5)


def test_a_reply_cut_off_is_a_lost_channel(pki: Pki) -> None:
    def behave(sock: ssl.SSLSocket) -> None:
        greet(sock)
        receive(sock, HEADER.size)
        sock.sendall(reply({"ok": {"x": "y" * 100}})[:80])

    with impostor(pki, behave) as address, open_at(pki, address) as connection, pytest.raises(ChannelLost):
        connection.call("echo", {}, 5)


def test_a_dripped_reply_buys_no_time(pki: Pki) -> None:
    def behave(sock: ssl.SSLSocket) -> None:
        greet(sock)
        sock.settimeout(0.05)
        for byte in reply({"ok": {"x": "y" * 400}}):
            sock.sendall(bytes([byte]))
            try:
                sock.recv(1 << 16)
            except TimeoutError:
                continue

    with impostor(pki, behave) as address, open_at(pki, address) as connection:
        start = time.monotonic()
        with pytest.raises(ChannelLost, match="did not answer"):
            connection.call("echo", {}, 0.4)
        assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    "hello", [b"", b"x", b"{}", b'{"ok":true}', b'{"ok":false}', b'{"ok":false,"error":{}}', b"[" * 9000, b'{"ok":1}']
)
def test_a_hello_that_makes_no_sense_is_a_protocol_violation(hello: bytes, pki: Pki) -> None:
    with impostor(pki, lambda sock: greet(sock, hello)) as address, pytest.raises(ProtocolViolation):
        open_at(pki, address)


def test_a_refusal_may_not_smuggle_control_characters(pki: Pki) -> None:
    problem = DestinationBusy("x").problem(Side.DESTINATION, Phase.AUTHENTICATE).encode() | {"reason": "a\x1b[2J\nb"}
    hello = json.dumps({"ok": False, "error": problem}).encode()
    with impostor(pki, lambda sock: greet(sock, hello)) as address, pytest.raises(RemoteProblem) as refused:
        open_at(pki, address)
    assert "\x1b" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("behave", "tls", "words"),
    [
        (lambda sock: sock.recv(1), False, "closed the connection|no secured connection"),
        (lambda sock: sock.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n"), False, "does not speak TLS"),
        (lambda sock: sock.sendall(b"220 smtp.example.org ready\r\n"), False, "does not speak TLS"),
        (lambda _sock: None, True, "closed the connection"),
    ],
)
def test_what_is_no_daemon_is_unreachable(
    behave: Callable[[ssl.SSLSocket], None], tls: bool, words: str, pki: Pki
) -> None:
    with impostor(pki, behave, tls=tls) as address, pytest.raises(Unreachable, match=words):
        open_at(pki, address)


@pytest.mark.parametrize("tls", [True, False])
def test_a_daemon_that_falls_silent_costs_no_more_than_the_deadline(tls: bool, pki: Pki) -> None:
    done = threading.Event()
    with impostor(pki, lambda _sock: bool(done.wait(10)), tls=tls) as address:
        start = time.monotonic()
        with pytest.raises(Unreachable, match="in time"):
            open_at(pki, address, patience_s=0.5)
        assert time.monotonic() - start < 2
        done.set()
