"""The calling side: one connection to one daemon, opened as one user.

Decides how a connection is made and how each failure is told: an answered problem (RemoteProblem), a connection that
broke (ChannelLost), a peer that breaks the rules (ProtocolViolation).  Reconnecting and retrying are the caller's: only
it knows which calls may be repeated.
"""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Final

from authsvc.authorities import TrustRules
from authsvc.channel import frames
from authsvc.channel.dial import dial
from authsvc.channel.guard import GuardedSocket, remaining
from authsvc.channel.hello import Hello, Request, receive_json, send_json
from authsvc.channel.hostcheck import check_host
from authsvc.channel.values import check
from authsvc.credentials import Credential, check_files
from authsvc.errors import ChannelLost
from authsvc.tls import client_context, presented_certificate, verified_chain
from fdtcp.errors import BadSettings, FdtError, Problem, ProtocolViolation, RemoteProblem

if TYPE_CHECKING:
    from authsvc.channel.values import Value

# What a client says of itself in its hello; information for logs, nothing depends on it.
VERSION: Final = "1"
DEFAULT_TRUST: Final = TrustRules()


class _CallDeadlines:
    """One deadline for all of a call: sending, waiting, and the whole reply."""

    def __init__(self) -> None:
        self.at = 0.0

    def first_byte(self) -> float:
        return self.at

    def rest(self) -> float:
        return self.at


class Connection:
    """An authenticated connection.  Calls may come from any thread, one at a time; the others wait for their turn."""

    def __init__(self, tls: ssl.SSLSocket, where: str, hello: Hello) -> None:
        """Take over a socket on which the hellos have been said; `open` does all that."""
        # Here, because Pyro5 costs 20 ms and nobody needs it before.
        from authsvc.channel.proxy import SessionProxy

        self.hello = hello
        self.peer_address: str = tls.getpeername()[0]
        self._where = where
        self._lock = threading.Lock()
        self._deadlines = _CallDeadlines()
        self._guard = GuardedSocket(tls, self._deadlines, frames.RESULT, frames.check_reply)
        self._proxy = SessionProxy(self._guard)
        self._open = True

    @classmethod
    def open(  # noqa: PLR0913  # keywords but for the address
        cls,
        host: str,
        port: int,
        *,
        credential: Credential,
        ca_dir: str,
        deadline: float,
        account: str | None = None,
        expect_dn: str | None = None,
        token: str | None = None,
        permit: Callable[[str], bool] | None = None,
        trust: TrustRules | None = None,
    ) -> Connection:
        """Connect, authenticate both ends and exchange hellos, all before `deadline` (monotonic).

        `host` is a name or an address, and must be in the daemon's certificate; with `expect_dn` the certificate must
        have that DN instead.  `token` is a bearer token, sent only after the host has proven who it is; `permit` says
        which numeric addresses may be connected to; `trust` what is asked of the host's CA.

        Raises Unreachable, NotAuthentic, BadCredential, CredentialExpired, CredentialRefused, BadTrust, OutsidePolicy,
        BadRevocationList, or RemoteProblem if the daemon knows us and says no.
        """
        check_files(credential, os.geteuid())
        context = client_context(credential, ca_dir, check_name=expect_dn is None)
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        with ExitStack() as stack:
            raw = stack.enter_context(dial(host, port, deadline, permit))
            # A certificate knows neither the zone of a link-local address nor the dot at the end of a full name.
            name = host.partition("%")[0].removesuffix(".")
            tls = stack.enter_context(context.wrap_socket(raw, server_hostname=name, do_handshake_on_connect=False))
            try:
                tls.settimeout(remaining(deadline))
                tls.do_handshake()
                # Before anything is said: a token is only for a host that has proven who it is.
                check_host(verified_chain(tls), where, ca_dir, trust or DEFAULT_TRUST, expect_dn)
                hello = _introduce(tls, deadline, Request(account, VERSION, token))
            except OSError as exc:
                from authsvc import refusals

                raise refusals.from_handshake(exc, host, credential, ca_dir, presented_certificate(tls)) from exc
            try:
                connection = cls(tls, where, hello)
            except ValueError as exc:
                # Pyro5 reads PYRO_* variables when it is imported, and fails on those that it does not know.
                raise BadSettings(f"Pyro5 does not start: {exc}", remedy="remove the PYRO_ variables") from exc
            stack.pop_all()
            return connection

    def call(self, name: str, argument: dict[str, Value], timeout: float) -> dict[str, Value]:
        """Call `name` at the daemon and return its answer; all of it may take `timeout` seconds.

        Raises RemoteProblem if the daemon answers with a problem; the connection stays usable then.  Raises ChannelLost
        or ProtocolViolation after which it is closed: a late answer must not be taken for that of the next call.
        """
        check(argument)
        with self._lock:
            if not self._open:
                raise ChannelLost(f"the connection to {self._where} is closed")
            self._deadlines.at = time.monotonic() + timeout
            try:
                # A proxy belongs to the thread that made it; ours belongs to whoever holds the lock.
                self._proxy._pyroClaimOwnership()  # noqa: SLF001  # Pyro5's public names begin like this
                reply = self._proxy.call(name, argument)
                if "ok" in reply:
                    result: dict[str, Value] = reply["ok"]
                    return result
                problem = Problem.decode(reply["error"])
            except KeyboardInterrupt:
                self._close()
                raise
            except BaseException as exc:  # a peer must not end this program, not even by SystemExit
                self._close()
                raise self._explain(exc, name, timeout) from exc
            raise RemoteProblem(problem)

    def close(self) -> None:
        """Close the connection, also while another thread waits in a call; that call raises ChannelLost."""
        try:
            self._guard.shutdown(2)
        except OSError:
            pass  # the peer was faster
        with self._lock:
            self._close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _close(self) -> None:
        self._open = False
        self._guard.close()

    def _explain(self, error: BaseException, name: str, timeout: float) -> FdtError:
        from Pyro5.errors import CommunicationError, TimeoutError  # noqa: A004  # Pyro5's own name

        if isinstance(error, FdtError):
            return error
        if self._guard.violation is not None:
            return ProtocolViolation(f"{self._where}, call {name}: {self._guard.violation.reason}")
        if isinstance(error, TimeoutError):
            return ChannelLost(f"{self._where} did not answer the call {name} within {timeout:g} s")
        if isinstance(error, CommunicationError | OSError):
            return ChannelLost(f"the connection to {self._where} broke in the call {name}: {error}")
        return ProtocolViolation(f"{self._where}, call {name}: {type(error).__name__}: {error}")


def _introduce(tls: ssl.SSLSocket, deadline: float, request: Request) -> Hello:
    """Exchange the hellos."""
    try:
        send_json(tls, request.encode(), deadline)
    except TimeoutError:
        raise
    except OSError:
        pass  # a TLS 1.3 server judges us after our handshake is done; why it closed is still to be read
    return Hello.decode(receive_json(tls, deadline))
