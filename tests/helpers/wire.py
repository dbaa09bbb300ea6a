"""A link between two movers that a test can disturb: bits flipped, streams cut, bytes swallowed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from types import TracebackType

from fdtcp.model.order import Endpoint

# Called with (connection number, bytes that passed before, chunk); returns what passes on, None to cut the stream.
Disturb = Callable[[int, int, bytes], bytes | None]


class Link:
    """Listens, and carries each connection to the endpoint behind it."""

    def __init__(self, disturb: Disturb) -> None:
        self._disturb = disturb
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._target: Endpoint | None = None
        self.connections = 0

    def through(self, endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        """Stand before the first of `endpoints`."""
        self._target = endpoints[0]
        self._start(self._accept)
        return (Endpoint("127.0.0.1", self._listener.getsockname()[1]),)

    def __enter__(self) -> Link:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)
        for one in self._sockets:
            one.close()

    def cut(self) -> None:
        """End all streams."""
        for one in self._sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended already

    def _start(self, call: Callable[..., None], *values: object) -> None:
        thread = threading.Thread(target=call, args=values, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        assert self._target is not None
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection((self._target.address, self._target.port))
            except OSError:
                near.close()
                continue
            self._sockets += [near, far]
            number = self.connections
            self.connections += 1
            self._start(self._carry, near, far, number)
            self._start(self._carry, far, near, -1)

    def _carry(self, near: socket.socket, far: socket.socket, number: int) -> None:
        passed = 0
        try:
            while data := near.recv(1 << 16):
                chunk = self._disturb(number, passed, data) if number >= 0 else data
                passed += len(data)
                if chunk is None:
                    near.shutdown(socket.SHUT_RDWR)  # what is still sent to us is answered by a reset
                    break
                far.sendall(chunk)
        except OSError:
            pass  # the other direction was cut
        for one, how in ((far, socket.SHUT_WR), (near, socket.SHUT_RD)):
            try:
                one.shutdown(how)
            except OSError:
                pass  # it has ended already
