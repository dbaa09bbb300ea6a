from __future__ import annotations

import socket
import threading
import time

import pytest

from authsvc.channel.dial import dial
from fdtcp.errors import Unreachable


def soon(seconds: float = 5) -> float:
    return time.monotonic() + seconds


@pytest.mark.parametrize(("bound", "name"), [("127.0.0.2", "127.0.0.2"), ("::1", "::1"), ("127.0.0.1", "localhost")])
def test_addresses_and_names_are_reached(bound: str, name: str) -> None:
    family = socket.AF_INET6 if ":" in bound else socket.AF_INET
    with (
        socket.create_server((bound, 0), family=family) as listener,
        dial(name, listener.getsockname()[1], soon()) as sock,
    ):
        assert sock.getpeername()[0] == bound
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_all_addresses_of_a_name_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.2", 0)) as listener:
        port = listener.getsockname()[1]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.9", "127.0.0.2")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
        with dial("two-faced", port, soon()) as sock:
            assert sock.getpeername()[0] == "127.0.0.2"


def test_nobody_there_names_each_address_and_why() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.2", 0))
        port = free.getsockname()[1]
        with pytest.raises(Unreachable, match=rf"127\.0\.0\.2 port {port} \(127\.0\.0\.2: Connection refused\)"):
            dial("127.0.0.2", port, soon())


def test_a_name_server_that_hangs_costs_no_more_than_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*_args: object, flags: int = 0, **_options: object) -> list[object]:
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "not numeric")
        release.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    start = time.monotonic()
    with pytest.raises(Unreachable, match="could not be looked up in time"):
        dial("slow.example.org", 1, soon(0.2))
    assert time.monotonic() - start < 2
    release.set()


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a" * 70 + ".invalid", "..", "\u00e9" * 70])
def test_names_that_are_none_are_unreachable_not_a_crash(name: str) -> None:
    with pytest.raises(Unreachable, match="unknown host"):
        dial(name, 1, soon())


def test_a_silent_address_costs_no_more_than_the_deadline() -> None:
    # A full backlog drops further connections, as a firewall does.
    with socket.socket() as listener:
        listener.bind(("127.0.0.2", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        start = time.monotonic()
        try:
            with pytest.raises(Unreachable, match="no answer within"):
                dial(address[0], address[1], soon(0.5))
        finally:
            for filler in fillers:
                filler.close()
        assert time.monotonic() - start < 2


def test_addresses_that_are_not_permitted_are_not_connected_to() -> None:
    with socket.create_server(("127.0.0.2", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Unreachable, match=r"127\.0\.0\.2: not allowed"):
            dial("127.0.0.2", port, soon(), lambda address: address != "127.0.0.2")
        dial("127.0.0.2", port, soon(), lambda address: address == "127.0.0.2").close()
        listener.settimeout(5)
        listener.accept()[0].close()
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
