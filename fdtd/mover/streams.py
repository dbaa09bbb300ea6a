"""Sockets of data streams: listening, connecting, options, and exact reads.

Decides socket options and deadlines.  All waits inside a frame are bounded by the kernel (SO_RCVTIMEO, SO_SNDTIMEO):
"no byte for that long" is what a stall is; between frames a stream may be silent for as long as it likes, and
keepalive finds out whether the other host is still there.  Who waits for room to send looks up in between: a peer that
has hung up while its buffers were full is something that the kernel tells only to those who ask.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import select
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from enum import Enum
from struct import pack
from typing import Final, Protocol

from fdtcp.errors import FdtError, SourceFailed
from fdtcp.model.order import Endpoint, Policy
from fdtd.mover.distance import Path
from fdtd.mover.frames import HEADER_BYTES, OF_STREAM, Header, check_header, check_payload, decode_header

# A silent host is found dead within 10 + 3 * 5 s, and a stream that the other end has given up, unheard, within 10 s.
_KEEPALIVE_IDLE_S: Final = 10
_KEEPALIVE_INTERVAL_S: Final = 5
_KEEPALIVE_PROBES: Final = 3

# More streams than this in the queue are not ours.
_BACKLOG: Final = 64


# Within one host there is no path to probe, and bbr's pacing costs half of the rate (docs/performance.md).
_UNPACED: Final = b"cubic"

# Over a long path no more than this waits in a socket to be sent for the first time: what has not left yet can still
# travel on the stream that has room for it.  At 1 Gbit/s the kernel asks for more 1 ms before it has run dry.
_UNSENT_BYTES: Final = 256 << 10

# RFC 8200: every link carries 1280 bytes; 40 of them are IPv6's, 20 TCP's.
_SMALL_SEGMENT_BYTES: Final = 1280 - 60

# asm-generic/socket.h; Python has no name for it.  The kernel's own timer paces, whatever the queueing discipline.
_SO_MAX_PACING_RATE: Final = 47

# How long a sender waits for room before it looks whether the peer has hung up.
_LOOK_UP_S: Final = 1.0

# sendfile fails for either side; these can only be the disk's.
_OF_THE_FILE: Final = frozenset({errno.EIO, errno.ESTALE, errno.ENODATA, errno.EUCLEAN, errno.EBADMSG})


class StreamBroken(FdtError):
    """A stream ended, stalled or was reset; its blocks travel on the others."""

    code = "stream-broken"
    retryable = True


class Ending(Enum):
    """How a stream came to its end."""

    DONE = "done"  # nothing is left to carry
    SPENT = "spent"  # its key has carried enough: another one takes its place
    BROKEN = "broken"
    BARREN = "barren"  # broken before anything had come through


class Sealed(Protocol):
    """An encrypted stream: what we use of a socket's methods; `fdtd.mover.sealing` has it."""

    @property
    def has_buffered(self) -> bool:
        """Whether bytes have been taken from the socket that nobody has read yet: poll does not know of them."""

    @property
    def is_spent(self) -> bool:
        """Whether its key has carried so much that another stream has to take its place."""

    @property
    def cipher(self) -> str:
        """What encrypts it."""

    def fileno(self) -> int:
        """Return the socket's descriptor, to poll; what it carries is not for us."""

    def recv(self, count: int, flags: int = 0, /) -> bytes:
        """Receive."""

    def recv_into(self, view: memoryview, count: int = 0, flags: int = 0, /) -> int:
        """Receive into `view`, which may be filled in part."""

    def sendmsg(self, buffers: Sequence[memoryview], ancillary: tuple[()] = (), flags: int = 0, /) -> int:
        """Send some of `buffers`; after a BlockingIOError only the same ones may follow."""

    def getsockopt(self, level: int, option: int, /) -> int:
        """Ask the socket."""

    def settimeout(self, seconds: float | None, /) -> None:
        """Limit each wait of the socket."""

    def getsockname(self) -> tuple[str, int]:
        """Return our address."""

    def getpeername(self) -> tuple[str, int]:
        """Return the peer's address."""

    def shutdown(self, how: int, /) -> None:
        """End the connection, from whichever thread."""

    def close(self) -> None:
        """Close the socket."""


# A stream's bytes travel as they are or encrypted; whoever reads and writes frames need not know.
Wire = socket.socket | Sealed


def is_plain(stream: Wire) -> bool:
    """Whether the kernel may move the bytes between the socket and a file by itself."""
    return isinstance(stream, socket.socket)


def has_buffered(stream: Wire) -> bool:
    """Whether something can be read that poll does not know of."""
    return not isinstance(stream, socket.socket) and stream.has_buffered


def is_spent(stream: Wire) -> bool:
    """Whether another stream has to take the place of this one."""
    return not isinstance(stream, socket.socket) and stream.is_spent


def ending_by(farewell: Header, stream: Wire) -> Ending:
    """Return how a stream ends whose peer has said BYE.

    A key that has carried little is not spent: who says so all the same breaks his stream.  Broken streams are counted,
    and else he would have others opened as fast as they come, for ever.
    """
    if not farewell.flags & OF_STREAM:
        return Ending.DONE
    return Ending.SPENT if is_spent(stream) else Ending.BROKEN


def cipher_of(stream: Wire) -> str:
    """Return what encrypts a stream, "" if nothing does."""
    return "" if isinstance(stream, socket.socket) else stream.cipher


def family_of(address: str) -> socket.AddressFamily:
    """Return the family of a numeric address.  Raises ValueError."""
    return socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET


def listen(address: str, ports: Iterable[int], policy: Policy, peer: str = "") -> socket.socket | None:
    """Listen on the first free port; None if none is.  Raises OSError for an address that is not ours.

    `peer`: an address that will connect, if we are to send data there; what is chosen for it holds for all who come.
    """
    for port in ports:
        listener = socket.socket(family_of(address), socket.SOCK_STREAM)
        try:
            # Not SO_REUSEADDR's evil twin: this one only allows a port whose old connections are in TIME_WAIT.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if listener.family is socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            _size_buffers(listener, policy)
            if peer:
                _choose_congestion(listener, peer, policy)
            listener.bind((address, port))
            listener.listen(_BACKLOG)
        except OSError as exc:
            listener.close()
            if exc.errno in (errno.EADDRINUSE, errno.EACCES):
                continue
            raise
        return listener
    return None


def connect(endpoint: Endpoint, local: str, policy: Policy, timeout: float, *, is_small: bool = False) -> socket.socket:
    """Connect, from `local` if that is not empty.  Raises OSError.

    `is_small`: both ways in packets that pass wherever IPv6 does, whatever the interfaces would take.
    """
    stream = socket.socket(family_of(endpoint.address), socket.SOCK_STREAM)
    try:
        _size_buffers(stream, policy)
        _choose_congestion(stream, endpoint.address, policy)
        if is_small:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SMALL_SEGMENT_BYTES)
        if local:
            stream.bind((local, 0))
        stream.settimeout(timeout)
        stream.connect((endpoint.address, endpoint.port))
    except BaseException:
        stream.close()
        raise
    return stream


def _choose_congestion(stream: socket.socket, address: str, policy: Policy) -> None:
    """Take what the policy says, else the kernel's default, but on the way to our own host no algorithm that paces.

    Before connecting: a stream that was paced once stays paced.  Raises OSError for a name that the kernel refuses.
    """
    if policy.congestion:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, policy.congestion.encode())
    elif is_here(address):
        try:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _UNPACED)
        except OSError:
            pass  # not built into this kernel, or not for this account: the default is only slower


def is_here(address: str) -> bool:
    """Whether a numeric address is one of this host's: then it can be bound."""
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        return True


def _size_buffers(stream: socket.socket, policy: Policy) -> None:
    if policy.buffer_size:  # else the kernel tunes them, which fixed sizes would switch off
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, policy.buffer_size)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, policy.buffer_size)


def tune(stream: socket.socket, policy: Policy) -> None:
    """Prepare an authenticated stream for data."""
    stall = policy.stall_timeout
    stream.settimeout(None)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(stall))
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(min(stall, _LOOK_UP_S)))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(stall * 1000))
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, min(int(stall), _KEEPALIVE_IDLE_S)))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_INTERVAL_S)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_PROBES)
    if policy.stream_rate:
        stream.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, pack("L", policy.stream_rate))


def keep_short(stream: socket.socket) -> None:
    """Let little more than what is in flight pile up in the sending side's buffer."""
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)


def _timeval(seconds: float) -> bytes:
    return pack("ll", int(seconds), int(seconds % 1 * 1e6))


def path_of(stream: socket.socket) -> Path:
    """Return what the kernel knows of the path.  Raises OSError for a closed stream."""
    # linux/tcp.h, struct tcp_info: tcpi_rtt and tcpi_min_rtt in microseconds, tcpi_total_retrans.
    info = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 152)
    round_trip, resent, least = (int.from_bytes(info[at : at + 4], sys.byteorder) for at in (68, 100, 148))
    congestion = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    return Path(round_trip / 1e6, least / 1e6, resent, congestion.rstrip(b"\0").decode("ascii", "replace"))


def hang_up(stream: Wire) -> None:
    """End any wait on the stream, from whichever thread; the thread that has it closes it."""
    try:
        stream.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is going already


def name_of(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """Write a socket address for people: 192.0.2.1:54321, [2001:db8::1]:54321."""
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read_exactly(stream: Wire, view: memoryview) -> None:
    """Fill `view`.  Raises StreamBroken."""
    try:
        while view:
            count = stream.recv_into(view, 0, socket.MSG_WAITALL)
            if count == 0:
                raise StreamBroken("the stream ended")
            view = view[count:]
    except OSError as exc:
        raise StreamBroken(f"receiving: {exc.strerror or 'no byte for too long'}") from exc


def read_header(stream: Wire, scratch: memoryview) -> Header:
    """Read one header.  Raises StreamBroken, ProtocolViolation."""
    view = scratch[:HEADER_BYTES]
    read_exactly(stream, view)
    header = decode_header(view)
    check_header(header)
    return header


def read_payload(stream: Wire, header: Header) -> bytes:
    """Read the payload of a control frame.  Raises StreamBroken, ProtocolViolation."""
    payload = bytearray(header.length)
    read_exactly(stream, memoryview(payload))
    check_payload(header, bytes(payload))
    return bytes(payload)


def send_all(stream: Wire, data: bytes | memoryview, flags: int = 0) -> None:
    """Send all of `data`.  Raises StreamBroken."""
    send_gathered(stream, [data], flags)


def send_gathered(stream: Wire, buffers: Sequence[bytes | memoryview], flags: int = 0) -> None:
    """Send several buffers in one go.  Raises StreamBroken."""
    left = [memoryview(buffer) for buffer in buffers]
    since = time.monotonic()
    while left:
        try:
            sent = stream.sendmsg(left, (), flags)
        except BlockingIOError:
            _check_there(stream, since)
            continue
        except OSError as exc:
            raise StreamBroken(f"sending: {exc.strerror or 'no byte for too long'}") from exc
        since = time.monotonic()
        while left and sent >= len(left[0]):
            sent -= len(left.pop(0))
        if left:
            left[0] = left[0][sent:]


def send_file(stream: Wire, descriptor: int, offset: int, length: int) -> int:
    """Send from a file without copying it; returns less than `length` at its end.

    Raises StreamBroken, SourceFailed.
    """
    sent = 0
    since = time.monotonic()
    while sent < length:
        try:
            count = os.sendfile(stream.fileno(), descriptor, offset + sent, length - sent)
        except BlockingIOError:
            _check_there(stream, since)
            continue
        except OSError as exc:
            if exc.errno in _OF_THE_FILE:
                raise SourceFailed(f"reading at {offset + sent}: {exc.strerror}") from exc
            raise StreamBroken(f"sending: {exc.strerror}") from exc
        if count == 0:
            break
        sent += count
        since = time.monotonic()
    return sent


def _check_there(stream: Wire, since: float) -> None:
    """Look whether the peer has hung up, after no byte could be sent `since` then.  Raises StreamBroken."""
    poll = select.poll()
    poll.register(stream, select.POLLRDHUP)
    if poll.poll(0):
        raise StreamBroken("sending: the peer has hung up")
    # The stall time, where `tune` has put it.
    stall_ms = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    if time.monotonic() - since >= stall_ms / 1000:
        raise StreamBroken("sending: no byte for too long")
