"""A long wire between two TUN devices: delay, a rate cap, a queue and loss, in user space.

Decides what happens to each packet.  Frames cross as the kernel makes them for a card that segments by itself, up to
64 KiB in one read: one packet of 1500 bytes a system call would be too much for Python at 1 Gbit/s.  Rate and loss
still count packets as they would be on the wire: what is lost is one segment, cut out of its frame.

    python -m tests.helpers.wanlink NAME_A NAME_B RTT_S RATE LOSS QUEUE_S

makes both devices, says "ready", and forwards until its standard input ends.  RATE is in bits a second.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Final

# linux/if_tun.h
_TUNSETIFF: Final = 0x400454CA
_TUNSETOFFLOAD: Final = 0x400454D0
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_IFF_VNET_HDR: Final = 0x4000
_CHECKSUM_AND_TSO4: Final = 0x01 | 0x02

# struct virtio_net_hdr: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset.
_VNET: Final = struct.Struct("=BBHHHH")
_GSO_NONE: Final = 0
_LARGEST_FRAME: Final = _VNET.size + (64 << 10)
_FIN_PSH: Final = 0x09
_TCP: Final = 6

# So many reads before what is due is delivered.
_READS: Final = 64


class Way:
    """One direction."""

    def __init__(self, delay_s: float, rate: float, loss: float, queue_s: float, seed: int) -> None:
        self.lost = 0
        self.overflowed = 0
        self._delay_s = delay_s
        self._per_byte = 8 / rate
        self._loss = loss
        self._queue_s = queue_s
        # The same packets are lost in each run: seeded, not secret.
        self._chance = random.Random(seed)  # noqa: S311  # see above
        self._free_at = 0.0
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._until_loss = self._next_loss()

    def take(self, frame: bytes, now: float) -> None:
        """Put a frame onto the wire."""
        payload, step = segments(frame)
        count = max(1, -(-payload // step))
        on_wire = payload + count * (len(frame) - _VNET.size - payload)
        free_at = max(self._free_at, now) + on_wire * self._per_byte
        if free_at - now > self._queue_s:
            self.overflowed += count
            return
        self._free_at = free_at
        for piece in self._survivors(frame, count):
            self._under_way.append((free_at + self._delay_s, piece))

    def due(self, now: float) -> Iterator[bytes]:
        """Yield what has arrived by now."""
        while self._under_way and self._under_way[0][0] <= now:
            yield self._under_way.popleft()[1]

    @property
    def next_at(self) -> float:
        """When something arrives next."""
        return self._under_way[0][0] if self._under_way else float("inf")

    def _survivors(self, frame: bytes, count: int) -> Iterator[bytes]:
        first = 0
        while self._until_loss < count - first:
            lost = first + self._until_loss
            self.lost += 1
            if lost > first:
                yield cut(frame, first, lost)
            first = lost + 1
            self._until_loss = self._next_loss()
        self._until_loss -= count - first
        if first == 0:
            yield frame
        elif first < count:
            yield cut(frame, first, count)

    def _next_loss(self) -> int:
        """Return how many packets pass before one is lost."""
        passing = 0
        if self._loss <= 0:
            return sys.maxsize
        while self._chance.random() >= self._loss:
            passing += 1
        return passing


def segments(frame: bytes) -> tuple[int, int]:
    """Return the bytes of payload of a frame, and how many of them go into one packet."""
    kind: int = frame[1]
    if kind == _GSO_NONE:
        return 0, 1
    step: int = _VNET.unpack_from(frame)[3]
    return len(frame) - _headers_end(frame), step


def _headers_end(frame: bytes) -> int:
    """Return where the payload of a frame of IPv4 and TCP begins."""
    ip_bytes = (frame[_VNET.size] & 0x0F) * 4
    tcp = _VNET.size + ip_bytes
    return tcp + (frame[tcp + 12] >> 4) * 4


def cut(frame: bytes, first: int, end: int) -> bytes:
    """Return the segments [first, end) of a frame as a frame of its own.

    TCP's checksum stays as it is: it is marked as still to be made, so the receiving kernel does not look at it.
    """
    flags, kind, head, size, start, place = _VNET.unpack_from(frame)
    at = _headers_end(frame)
    ip_bytes = (frame[_VNET.size] & 0x0F) * 4
    headers = bytearray(frame[_VNET.size : at])
    payload = frame[at + first * size : at + end * size]
    struct.pack_into("!H", headers, 2, len(headers) + len(payload))
    struct.pack_into("!H", headers, 10, 0)
    struct.pack_into("!H", headers, 10, _ip_checksum(headers[:ip_bytes]))
    (sequence,) = struct.unpack_from("!I", headers, ip_bytes + 4)
    struct.pack_into("!I", headers, ip_bytes + 4, (sequence + first * size) & 0xFFFFFFFF)
    if at + end * size < len(frame):
        headers[ip_bytes + 13] &= ~_FIN_PSH
    vnet = (flags, kind, head, size, start, place) if len(payload) > size else (flags, _GSO_NONE, head, 0, start, place)
    return _VNET.pack(*vnet) + headers + payload


def _ip_checksum(header: bytes | bytearray) -> int:
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def open_tun(name: str) -> int:
    """Make a TUN device that takes large frames; it lives as long as the descriptor.  Raises OSError."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR))
    fcntl.ioctl(descriptor, _TUNSETOFFLOAD, _CHECKSUM_AND_TSO4)
    return descriptor


def forward(ends: tuple[int, int], ways: tuple[Way, Way]) -> None:
    """Carry frames from each end to the other until standard input ends."""
    stdin = sys.stdin.fileno()
    while True:
        wait_s = max(0.0, min(way.next_at for way in ways) - time.monotonic())
        # select, because its timeouts are finer than a millisecond.
        ready, _, _ = select.select([*ends, stdin], [], [], min(wait_s, 1.0))
        if stdin in ready and not os.read(stdin, 1):
            return
        for number, way in enumerate(ways):
            if ends[number] in ready:
                _fetch(ends[number], way)
            for frame in way.due(time.monotonic()):
                _deliver(ends[1 - number], frame)


def _fetch(end: int, way: Way) -> None:
    for _ in range(_READS):
        try:
            frame = os.read(end, _LARGEST_FRAME)
        except BlockingIOError:
            return
        way.take(frame, time.monotonic())


def _deliver(end: int, frame: bytes) -> None:
    try:
        os.write(end, frame)
    except OSError:
        pass  # the device is not up yet, or the kernel had no room: a wire loses packets


def _say(line: str) -> None:
    os.write(sys.stdout.fileno(), line.encode() + b"\n")


def main() -> None:
    """Be the wire."""
    first, second = sys.argv[1:3]
    rtt_s, rate, loss, queue_s = map(float, sys.argv[3:])
    try:
        # A wire that waits for its turn would be a longer one.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        pass  # then it is as long as the machine is busy
    ends = (open_tun(first), open_tun(second))
    _say("ready")
    ways = (Way(rtt_s / 2, rate, loss, queue_s, 1), Way(rtt_s / 2, rate, loss, queue_s, 2))
    forward(ends, ways)
    _say(", ".join(f"{way.lost} lost, {way.overflowed} too many" for way in ways))


if __name__ == "__main__":
    main()
