from __future__ import annotations

from typing import Any

import pytest
from Pyro5.errors import CommunicationError

from authsvc.channel.proxy import SessionProxy


class Deaf:
    """A guarded socket whose peer has gone; it remembers what was sent."""

    family = 2
    sent = b""

    def getsockname(self) -> object:
        return ("127.0.0.1", 1)

    def gettimeout(self) -> None:
        return None

    def settimeout(self, timeout: float | None) -> None:
        pass

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def recv(self, _size: int, _flags: int = 0) -> bytes:
        return b""

    def getpeercert(self) -> None:
        return None

    def close(self) -> None:
        pass


def test_it_asks_nothing_before_its_one_call_and_speaks_msgpack() -> None:
    deaf: Any = Deaf()
    proxy = SessionProxy(deaf)
    assert deaf.sent == b""
    with pytest.raises(CommunicationError):
        proxy.call("echo", {})
    assert deaf.sent[:4] == b"PYRO"
    assert deaf.sent[6:8] == b"\x04\x04", "an invocation, in msgpack"
    with pytest.raises(AttributeError):
        _ = proxy.registered
