"""A running acceptor with a small service, and an independent client that can misbehave.

The client here uses `ssl` and nothing of ours, so that it can say what our own client never would.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType

from authsvc.accounts import choose_account
from authsvc.channel import Acceptor, Caller, ChannelLimits, Connection, Handler, Value
from authsvc.credentials import Credential
from authsvc.errors import NotMapped
from authsvc.identity import Identity
from authsvc.recognition import SiteRules
from tests.helpers.pki import Pki

HOST = "127.0.0.2"
PATIENCE_S = 10.0


class Listening:
    """An acceptor whose service answers `echo`, and what else a test registers in `calls`."""

    def __init__(
        self,
        pki: Pki,
        *,
        limits: ChannelLimits | None = None,
        credential: Credential | None = None,
        host: str = HOST,
        rules: SiteRules | None = None,
    ) -> None:
        self.pki = pki
        self.callers: list[Caller] = []
        self.mapped: dict[str, tuple[str, ...]] = {pki.user_dn: ("alice", "atlas")}
        self.calls: dict[str, Callable[[dict[str, Value]], dict[str, Value]]] = {"echo": lambda argument: argument}
        self.acceptor = Acceptor(
            listen=[(host, 0)],
            credential=credential or pki.host,
            ca_dir=pki.certificates,
            authorise=self._authorise,
            handler_for=self._handler_for,
            limits=limits,
            version="7.0",
            rules=rules,
        )

    def __enter__(self) -> Listening:
        self.acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.acceptor.stop()
        left = [thread.name for thread in threading.enumerate() if thread.name.startswith(("conn-", "accept"))]
        assert not left, f"threads left behind: {left}"

    @property
    def address(self) -> tuple[str, int]:
        return self.acceptor.addresses[0]

    def open(self, credential: Credential | None = None, *, account: str | None = None) -> Connection:
        """Connect with our own client."""
        host, port = self.address
        return Connection.open(
            host,
            port,
            credential=credential or self.pki.proxy,
            ca_dir=self.pki.certificates,
            deadline=time.monotonic() + PATIENCE_S,
            account=account,
        )

    def stranger(self) -> socket.socket:
        """Connect without a word."""
        return socket.create_connection(self.address, timeout=PATIENCE_S)

    def tls(self, credential: Credential | None, *, security_level: int = 2) -> ssl.SSLSocket:
        """Connect with TLS and nothing more; `security_level` 0 lets OpenSSL send what is too weak."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_ciphers(f"DEFAULT:@SECLEVEL={security_level}")
        context.load_verify_locations(capath=self.pki.certificates)
        if credential is not None:
            context.load_cert_chain(credential.cert_path, credential.key_path)
        return context.wrap_socket(self.stranger(), server_hostname=self.address[0])

    def greeted(self, credential: Credential | None = None) -> ssl.SSLSocket:
        """Connect up to where Pyro5 begins."""
        tls = self.tls(credential or self.pki.proxy)
        say_hello(tls)
        assert receive_hello(tls)["ok"] is True
        return tls

    def verdict(self, credential: Credential | None, *, security_level: int = 2) -> tuple[str, str]:
        """Return how the daemon judges a credential: ("ok", dn), (code, reason) or ("tls", alert).

        ("unsendable", reason) is the verdict of our own side's OpenSSL, which does not load everything.
        """
        try:
            with self.tls(credential, security_level=security_level) as tls:
                try:
                    say_hello(tls)
                except OSError:
                    pass  # refused already; the alert is to be read
                hello = receive_hello(tls)
        except ssl.SSLError as exc:
            return ("tls" if "ALERT" in str(exc.reason) else "unsendable"), str(exc.reason)
        if hello["ok"]:
            return "ok", str(hello["dn"])
        error = hello["error"]
        assert isinstance(error, dict)
        return str(error["code"]), str(error["reason"])

    def _authorise(self, identity: Identity, requested: str | None) -> str:
        if identity.dn not in self.mapped:
            raise NotMapped(f"{identity.dn} is not in the grid-mapfile")
        return choose_account(identity.dn, self.mapped[identity.dn], requested)

    def _handler_for(self, caller: Caller) -> Handler:
        self.callers.append(caller)
        return lambda name, argument: self.calls[name](argument)


def say_hello(tls: ssl.SSLSocket, account: str | None = None) -> None:
    send_text(tls, json.dumps({"account": account, "version": "raw"}).encode())


def send_text(tls: ssl.SSLSocket, text: bytes) -> None:
    tls.sendall(struct.pack("!I", len(text)) + text)


def receive_hello(tls: ssl.SSLSocket) -> dict[str, object]:
    (size,) = struct.unpack("!I", receive(tls, 4))
    hello = json.loads(receive(tls, size))
    assert isinstance(hello, dict)
    return hello


def receive(tls: ssl.SSLSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = tls.recv(size - len(data))
        if not piece:
            raise EOFError(f"closed after {len(data)} of {size} bytes")
        data += piece
    return data


def wait_closed(sock: socket.socket, within_s: float = PATIENCE_S) -> float:
    """Wait until the peer closes the connection, and return how long it took."""
    start = time.monotonic()
    sock.settimeout(within_s)
    try:
        while sock.recv(4096):
            pass
    except (ConnectionError, ssl.SSLError):
        pass  # closed in another way
    return time.monotonic() - start
