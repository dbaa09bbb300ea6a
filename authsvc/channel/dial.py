"""From a host's name to a TCP connection, before a deadline.

Decides how the time is shared when a name has several addresses.  Names are looked up in a thread, because the
resolver knows no deadline of ours.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from authsvc.channel.guard import remaining
from fdtcp.errors import Unreachable

# A firewall that drops SYNs costs the kernel two minutes; with several addresses the next one must get its turn.
_SHARE_MIN_S: Final = 1.0


def dial(host: str, port: int, deadline: float, permit: Callable[[str], bool] | None = None) -> socket.socket:
    """Return a connected TCP socket.  Raises Unreachable that says what was tried.

    `permit` says of a numeric address whether it may be connected to at all: who dials names that others gave him has
    to ask it of what a name means now, not of what it meant a moment ago.
    """
    try:
        addresses = _look_up(host, port, deadline)
    except TimeoutError as exc:
        raise Unreachable(f"the name {host} could not be looked up in time", remedy="check the name server") from exc
    except OSError as exc:
        raise Unreachable(f"unknown host {host} ({exc.strerror})", remedy="check the spelling of the name") from exc
    failures: list[str] = []
    for index, (family, address) in enumerate(addresses):
        if permit is not None and not permit(address[0]):
            failures.append(f"{address[0]}: not allowed")
            continue
        left = deadline - time.monotonic()
        share = min(left, max(_SHARE_MIN_S, left / (len(addresses) - index)))
        if share <= 0:
            failures.append("no time left")
            break
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(share)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except OSError as exc:
            sock.close()
            why = f"no answer within {share:.1f} s" if isinstance(exc, TimeoutError) else exc.strerror or str(exc)
            failures.append(f"{address[0]}: {why}")
        else:
            return sock
    raise Unreachable(f"cannot connect to {host} port {port} ({'; '.join(failures)})")


def _look_up(host: str, port: int, deadline: float) -> list[tuple[socket.AddressFamily, Any]]:  # Any: of the family
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, ValueError):
        found = _look_up_name(host, port, deadline)
    return [(family, address) for family, _, _, _, address in found]


def _look_up_name(host: str, port: int, deadline: float) -> list[Any]:  # Any: what getaddrinfo returns
    answers: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()  # Any: as above

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except ValueError as exc:  # labels too long, zero bytes
            answers.put(OSError(0, f"not a host name: {exc}"))
        except OSError as exc:
            answers.put(exc)

    # A daemon thread: one that hangs in the resolver must not keep the program from ending.
    threading.Thread(target=ask, name=f"resolve-{host}", daemon=True).start()
    try:
        answer = answers.get(timeout=remaining(deadline))
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, OSError):
        raise answer
    return answer
