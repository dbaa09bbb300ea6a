"""Encrypted streams: TLS 1.3 with a certificate that was made for this job and is known by its fingerprint.

Decides what counts as the right peer: the listener shows the one certificate whose SHA-256 came over the control
channel, compared before a byte of ours has been sent inside; names, dates and issuers say nothing.  Who connects is
proven by the handshake of all streams (`fdtd.mover.handshake`), inside.

OpenSSL works on memory here, and the socket stays our own: its deadlines, its polls and who may shut it down are those
of every stream.  Measured, that costs no more than OpenSSL on the socket (docs/performance.md).  Loaded only by jobs
that are encrypted: ssl adds a twentieth to a mover's start-up.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Final

from fdtcp.errors import ProtocolViolation
from fdtd.mover.streams import StreamBroken

# So much is encrypted, and handed to the kernel, or taken from it, at a time: it stays in a core's cache.
_PIECE_BYTES: Final = 128 << 10

# What one key may carry each way, TLS's own bytes included.  RFC 8446, 5.5: AES-GCM keeps its margin for 2^24.5 full
# records, 388 GB; and Python's ssl cannot change keys under way (KeyUpdate).  So a stream gives way to a fresh one well
# before that, behind a frame and its answers, and where a peer does not let it, it breaks.
KEY_BYTES: Final = 256 << 30
MOST_KEY_BYTES: Final = 362 << 30


def listener_context(credential: bytes) -> ssl.SSLContext:
    """Return what a listener works with; `credential` is key and certificate as PEM.  Raises ProtocolViolation."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # No stream is resumed: each proves itself anew.
    context.num_tickets = 0
    # OpenSSL reads keys from files only: this one is memory of ours that nobody else can open.
    with open(os.memfd_create("credential", os.MFD_CLOEXEC), "wb", buffering=0) as file:
        file.write(credential)
        try:
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
        except (ssl.SSLError, OSError) as exc:
            raise ProtocolViolation(f"the credential for encrypted streams cannot be used: {exc}") from exc
    return context


def connector_context() -> ssl.SSLContext:
    """Return what a connector works with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the fingerprint says more than any authority could: `check`
    return context


def fingerprint_of(credential: bytes) -> bytes:
    """Return the SHA-256 of the certificate in `credential`.  Raises ProtocolViolation."""
    begin = credential.find(ssl.PEM_HEADER.encode())
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(credential[max(begin, 0) :].decode("ascii"))).digest()
    except ValueError as exc:
        raise ProtocolViolation(f"no certificate in the credential for encrypted streams: {exc}") from exc


class SealedStream:
    """A socket behind encryption; one thread reads and writes, any may shut it down."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, *, is_listener: bool) -> None:
        self._raw = raw
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=is_listener)
        self._scratch = memoryview(bytearray(_PIECE_BYTES))
        self._unsent = memoryview(b"")
        self._taken = 0  # plain bytes that `_unsent` stands for
        self._sealed = self._opened = 0  # bytes that have travelled under our key, and under the peer's
        self.fileno = raw.fileno
        self.getsockopt = raw.getsockopt
        self.settimeout = raw.settimeout
        self.getsockname = raw.getsockname
        self.getpeername = raw.getpeername
        self.shutdown = raw.shutdown

    # --- the handshake ------------------------------------------------------------------------------------------

    def shake_hands(self, end: float) -> None:
        """Agree on keys until `end` (monotonic).  Raises StreamBroken, ProtocolViolation."""
        is_agreed = False
        while not is_agreed:
            left = end - time.monotonic()
            if left <= 0:
                raise StreamBroken("the TLS handshake took too long")
            self._raw.settimeout(left)
            try:
                is_agreed = self._step()
                if not is_agreed and not self._fill():
                    raise StreamBroken("the stream ended in the TLS handshake")
            except OSError as exc:
                raise StreamBroken(f"in the TLS handshake: {exc.strerror or 'no byte for too long'}") from exc

    def check(self, fingerprint: bytes) -> None:
        """Compare the listener's certificate with what was announced.  Raises ProtocolViolation."""
        shown = hashlib.sha256(self._tls.getpeercert(binary_form=True) or b"").digest()
        if not hmac.compare_digest(shown, fingerprint):
            raise ProtocolViolation("the listener shows another certificate than the one that was made for this job")

    @property
    def cipher(self) -> str:
        """What was agreed on, for the log."""
        cipher = self._tls.cipher()
        return cipher[0] if cipher is not None else ""

    def _step(self) -> bool:
        """Take the handshake one step on; returns whether it was the last."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._raw.sendall(self._outgoing.read())
            return False
        except ssl.SSLError as exc:
            self._raw.sendall(self._outgoing.read())  # an alert, which tells the peer why
            raise ProtocolViolation(f"no TLS 1.3 with the peer: {exc.reason or exc}") from exc
        self._raw.sendall(self._outgoing.read())
        return True

    # --- what we use of a socket --------------------------------------------------------------------------------

    @property
    def has_buffered(self) -> bool:
        """Whether bytes have been taken from the socket that nobody has read yet."""
        return self._tls.pending() > 0 or self._incoming.pending > 0

    @property
    def is_spent(self) -> bool:
        """Whether one of its keys has carried so much that another stream has to take the place of this one."""
        return max(self._sealed, self._opened) >= KEY_BYTES

    def recv(self, count: int, flags: int = 0, /) -> bytes:
        """Receive; b"" at the end.  Raises OSError, StreamBroken."""
        while True:
            try:
                return self._tls.read(count)
            except ssl.SSLWantReadError:
                if not self._fill(flags & socket.MSG_DONTWAIT):
                    return b""

    def recv_into(self, view: memoryview, _count: int = 0, flags: int = 0, /) -> int:
        """Receive into `view`, what one record has; 0 at the end.  Raises OSError, StreamBroken."""
        while True:
            try:
                return self._tls.read(len(view), view)  # type: ignore[return-value]  # typeshed forgets that it counts then
            except ssl.SSLWantReadError:
                if not self._fill(flags & socket.MSG_DONTWAIT):
                    return 0

    def sendmsg(self, buffers: Sequence[memoryview], _ancillary: tuple[()] = (), flags: int = 0, /) -> int:
        """Send some of `buffers`; returns how much.  Raises OSError, StreamBroken.

        After a BlockingIOError the same buffers have to follow: what is encrypted of them has left in part.
        """
        if not self._unsent:
            self._taken = self._seal(buffers)
        while self._unsent:
            self._unsent = self._unsent[self._raw.send(self._unsent, flags) :]
        return self._taken

    def close(self) -> None:
        """Close the socket.  What was said inside ends with BYE: TLS's own farewell would add nothing."""
        self._raw.close()
        self._scratch = self._unsent = memoryview(b"")

    def _seal(self, buffers: Sequence[memoryview]) -> int:
        taken = 0
        for buffer in buffers:
            if taken >= _PIECE_BYTES:
                break
            if piece := buffer[: _PIECE_BYTES - taken]:
                taken += self._tls.write(piece)
        self._unsent = memoryview(self._outgoing.read())
        self._sealed = _count(self._sealed, len(self._unsent))
        return taken

    def _fill(self, flags: int = 0) -> int:
        """Take what the socket has; returns 0 at its end."""
        count = self._raw.recv_into(self._scratch, 0, flags)
        self._opened = _count(self._opened, count)
        self._incoming.write(self._scratch[:count])
        return count


def _count(carried: int, more: int) -> int:
    """Return what a key has carried with so much more.  Raises StreamBroken if that is too much."""
    if carried + more > MOST_KEY_BYTES:
        raise StreamBroken("its key has carried as much as one may")
    return carried + more
