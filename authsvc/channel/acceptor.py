"""The listening side: from a TCP connection to a known caller's session.

Decides the order of the steps and their deadlines: TLS within a total time, chain, identity, account, hello, and only
then Pyro5.  Each connection has a thread of its own, so nobody waits for a stranger.  Who gets which account is the
`authorise` function's, what calls do the handler's.
"""

from __future__ import annotations

import errno
import logging
import os
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from importlib import import_module
from typing import Final

from authsvc.channel import hello
from authsvc.channel.admissions import Admissions, Visit
from authsvc.channel.caller import Caller, Handler
from authsvc.channel.incident import note_incident
from authsvc.channel.limits import ChannelLimits
from authsvc.channel.values import Value
from authsvc.credentials import Credential
from authsvc.errors import AddressTaken, Banned, NotMapped, TokenRefused
from authsvc.identity import Identity
from authsvc.recognition import Recognition, SiteRules
from authsvc.tls import ServerContexts, verified_chain
from authsvc.tokens import Grant
from fdtcp.errors import BadSettings, FdtError, Phase, Side

_log: Final = logging.getLogger("authsvc.channel")

# Connections that wait for accept(); the kernel caps it at net.core.somaxconn.
_BACKLOG: Final = 1024
# A refused client must be able to read why; it needs one round trip, and gets no more than this.
_FAREWELL_S: Final = 1.0
_FAREWELL_BYTES: Final = 1 << 16
# Without descriptors accept() fails at once, again and again; let some connections end first.
_EXHAUSTED_PAUSE_S: Final = 0.1
# How soon a connection of somebody who was banned ends, if he makes no call; a call of his is refused at once.
_BAN_LOOK_S: Final = 1.0
# How long stop() waits for handlers that are in the middle of a call.
_STOP_S: Final = 5.0

Authorise = Callable[[Identity, str | None], str]
JudgeToken = Callable[[str], Grant]


class Acceptor:
    """Listens, authenticates, and runs one handler per connection in a thread of its own.

    `authorise(identity, requested account)` returns the account or raises FdtError (NotMapped, ...); it runs in the
    connection's thread, as does `handler_for(caller)` and all calls of the handler it returns.
    """

    def __init__(  # noqa: PLR0913  # keywords only; a daemon's main says each of them once
        self,
        *,
        listen: Sequence[tuple[str, int]],
        credential: Credential,
        ca_dir: str,
        authorise: Authorise,
        handler_for: Callable[[Caller], Handler],
        limits: ChannelLimits | None = None,
        version: str,
        judge_token: JudgeToken | None = None,
        rules: SiteRules | None = None,
    ) -> None:
        """Check the credential, the CA directory and the ban list.  Raises BadCredential, BadTrust or BadBanList."""
        self._listen = list(listen)
        self._contexts = ServerContexts(credential, ca_dir, os.geteuid())
        self._authorise = authorise
        self._handler_for = handler_for
        self._judge_token = judge_token
        self._recognition = Recognition(rules or SiteRules(), ca_dir, credential)
        self._limits = limits or ChannelLimits()
        self._version = version
        self._admissions = Admissions(self._limits)
        self._listeners: list[socket.socket] = []
        self._wake_read, self._wake_write = -1, -1
        self._stopping = threading.Event()
        self._accepter: threading.Thread | None = None
        self._threads: set[threading.Thread] = set()
        self._threads_lock = threading.Lock()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Return the addresses and ports as bound."""
        return [sock.getsockname()[:2] for sock in self._listeners]

    def is_banned(self, dn: str) -> bool:
        """Say whether the site's ban list names this DN now: what runs for him has to end."""
        return self._recognition.bans.is_banned(dn)

    def start(self) -> None:
        """Bind all addresses, or none, and begin to accept.  Raises AddressTaken or BadSettings."""
        try:
            # Here, not at the top: PYRO_* variables may make it fail; and the first caller should not wait for it.
            import_module("authsvc.channel.session")
        except ValueError as exc:
            raise BadSettings(f"Pyro5 does not start: {exc}", remedy="remove the PYRO_ variables") from exc
        with ExitStack() as stack:
            self._listeners = [
                stack.enter_context(closing(_bind(family, address)))
                for host, port in self._listen
                for family, address in _resolve(host, port)
            ]
            stack.pop_all()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._accepter = threading.Thread(target=self._accept_loop, name="accept", daemon=True)
        self._accepter.start()

    def stop(self) -> None:
        """Close the listeners and all connections, and wait (5 s at most) until their threads have ended."""
        deadline = time.monotonic() + _STOP_S
        self._stopping.set()
        if self._accepter is None:
            return
        os.write(self._wake_write, b"x")
        self._accepter.join(_STOP_S)
        self._accepter = None
        while self._listeners:
            self._listeners.pop().close()
        for visit in self._admissions.everybody():
            visit.wake()
        with self._threads_lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                _log.warning("thread=%s is still in a call", thread.name)
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _accept_loop(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, selectors.EVENT_READ)
            for sock in self._listeners:
                selector.register(sock, selectors.EVENT_READ)
            look_at = time.monotonic() + _BAN_LOOK_S
            while not self._stopping.is_set():
                for key, _ in selector.select(max(0.0, look_at - time.monotonic())):
                    if isinstance(key.fileobj, socket.socket):
                        self._accept_guarded(key.fileobj)
                if time.monotonic() >= look_at:
                    self._part_with_banned()
                    look_at = time.monotonic() + _BAN_LOOK_S

    def _part_with_banned(self) -> None:
        for visit, dn in self._admissions.known_callers():
            if self.is_banned(dn):
                _log.warning("event=banned dn=%r peer=%s: the connection ends", dn, visit.address)
                visit.wake()

    def _accept_guarded(self, listener: socket.socket) -> None:
        try:
            self._accept(listener)
        except Exception as exc:  # noqa: BLE001  # a daemon that no longer accepts looks alive and is not
            note_incident("accept", exc)
            self._stopping.wait(_EXHAUSTED_PAUSE_S)

    def _accept(self, listener: socket.socket) -> None:
        try:
            raw, address = listener.accept()
        except OSError as exc:
            # The stranger may have gone again; otherwise descriptors or memory are short.
            if exc.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                _log.error("cannot accept: %s", exc.strerror)
                self._stopping.wait(_EXHAUSTED_PAUSE_S)
            return
        visit = Visit(str(address[0]), lambda: _wake(raw))
        self._admissions.enter(visit)
        thread = threading.Thread(target=self._run, args=(raw, visit), name=f"conn-{address[0]}", daemon=True)
        with self._threads_lock:
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:
            _log.error("cannot start a thread for peer=%s", visit.address)
            self._forget(thread, visit)
            raw.close()

    def _forget(self, thread: threading.Thread, visit: Visit) -> None:
        self._admissions.leave(visit)
        with self._threads_lock:
            self._threads.discard(thread)

    def _run(self, raw: socket.socket, visit: Visit) -> None:
        """Be one connection's thread; whatever happens, the socket is closed and the books are right afterwards."""
        try:
            with raw:
                self._welcome(raw, visit)
        except OSError as exc:
            _log.info("lost peer=%s reason=%r", visit.address, str(exc))
        except Exception as exc:  # noqa: BLE001  # the boundary of the connection: others must go on
            note_incident(f"peer={visit.address}", exc)
        finally:
            self._forget(threading.current_thread(), visit)

    def _welcome(self, raw: socket.socket, visit: Visit) -> None:
        deadline = time.monotonic() + self._limits.handshake_s
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        try:
            context = self._contexts.current()
        except FdtError as exc:
            _log.error("nobody can be let in: %s", exc)
            return
        with context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False) as tls:
            visit.wake = lambda: _wake(tls)
            if self._stopping.is_set():
                return  # stop() may have woken the bare socket, which is an empty shell by now
            # One call, one total: do_handshake() counts its timeout from its beginning, not per record.
            tls.settimeout(self._limits.handshake_s)
            try:
                tls.do_handshake()
            except (ssl.SSLError, OSError) as exc:
                _log.info("no handshake peer=%s reason=%r", visit.address, str(exc))
                _part(tls)
                return
            self._greet(tls, visit, deadline)

    def _greet(self, tls: ssl.SSLSocket, visit: Visit, deadline: float) -> None:
        """Find out who calls and say hello; then serve him, or tell him why not."""
        with ExitStack() as stack:
            try:
                caller = self._recognise(tls, visit, deadline)
                stack.enter_context(self._admissions.known(visit, caller.identity.dn))
                handler = self._handler_for(caller)
            except FdtError as exc:
                _log.warning("refused peer=%s code=%s reason=%r", visit.address, exc.code, exc.reason)
                _refuse(tls, exc, deadline)
                return
            except OSError:
                raise
            except Exception as exc:  # noqa: BLE001  # as in Session.call: a code for the peer, the rest for the log
                _refuse(tls, note_incident(f"hello peer={visit.address}", exc), deadline)
                return
            # Loaded by start(); see there.
            from authsvc.channel import session

            identity = caller.identity
            answer = hello.Hello(identity.dn, caller.account, identity.limited, self._version)
            hello.send_json(tls, answer.encode(), deadline)
            _log.info(
                "hello dn=%r account=%s peer=%s depth=%d limited=%s",
                *(identity.dn, caller.account, caller.peer, identity.depth, identity.limited),
            )
            session.serve(tls, caller, self._unless_banned(identity.dn, handler), self._limits)

    def _unless_banned(self, dn: str, handler: Handler) -> Handler:
        def call(name: str, argument: dict[str, Value]) -> dict[str, Value]:
            if self.is_banned(dn):
                raise Banned(f"{dn} is banned from this site")
            return handler(name, argument)

        return call

    def _recognise(self, tls: ssl.SSLSocket, visit: Visit, deadline: float) -> Caller:
        request = hello.Request.decode(hello.receive_json(tls, deadline))
        chain = verified_chain(tls)
        identity = self._recognition.recognise(chain, time.time())
        grant = self._judge(request.token)
        if grant is not None:
            identity = replace(identity, not_after=min(identity.not_after, grant.not_after))
        return Caller(identity, self._account_of(identity, request.account), visit.address, tuple(chain), grant)

    def _account_of(self, identity: Identity, requested: str | None) -> str:
        try:
            return self._authorise(identity, requested)
        except NotMapped as exc:
            if not identity.fqan_problem:
                raise
            # He may have counted on his VO; "not mapped" alone would send him to the wrong administrator.
            raise NotMapped(f"{exc.reason}; {identity.fqan_problem}", remedy=exc.remedy) from exc

    def _judge(self, token: str | None) -> Grant | None:
        if token is None:
            return None
        if self._judge_token is None:
            # To pass over it would give the caller more than he asked for.
            raise TokenRefused("no bearer tokens are accepted here")
        return self._judge_token(token)


def _refuse(tls: ssl.SSLSocket, error: FdtError, deadline: float) -> None:
    problem = error.problem(Side.DESTINATION, Phase.AUTHENTICATE)
    hello.send_json(tls, hello.encode_refusal(problem), deadline)
    _part(tls)


def _part(tls: ssl.SSLSocket) -> None:
    """Close so that the last words arrive: data that we did not read would make the kernel reset the connection."""
    deadline = time.monotonic() + _FAREWELL_S
    taken = 0
    try:
        socket.socket.shutdown(tls, socket.SHUT_WR)
        while taken < _FAREWELL_BYTES and (left := deadline - time.monotonic()) > 0:
            tls.settimeout(left)
            # Below TLS on purpose: these bytes are thrown away.
            piece = socket.socket.recv(tls, _FAREWELL_BYTES)
            if not piece:
                return
            taken += len(piece)
    except OSError:
        return  # the peer did not wait for it


def _wake(sock: socket.socket) -> None:
    """End any wait on the socket from another thread; its own thread closes it."""
    try:
        # The plain method: SSLSocket.shutdown() would let the waiting thread go on without TLS.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # not connected any more: there is no wait to end


def _resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]]:
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as exc:
        raise BadSettings(f"cannot listen on {host}: {exc.strerror}") from exc
    return [(family, address) for family, _, _, _, address in found]  # type: ignore[misc]  # IP families only


def _bind(family: socket.AddressFamily, address: tuple[str, int] | tuple[str, int, int, int]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Restarting must not wait for connections in TIME_WAIT; a second listener is refused all the same on Linux.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # So that 0.0.0.0 and :: can be listened on side by side.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        host, port = address[:2]
        if exc.errno == errno.EADDRINUSE:
            raise AddressTaken(f"another program already listens on {host} port {port}") from exc
        raise BadSettings(f"cannot listen on {host} port {port}: {exc.strerror}") from exc
    return sock
