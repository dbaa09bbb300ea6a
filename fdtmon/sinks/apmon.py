"""ApMon datagrams for MonALISA: our own encoder, for the published package does not run on Python 3.

Decides cluster and node names as the MonALISA world knows them, and how a record is split over datagrams.  The format
is XDR (RFC 4506), in this order: header `v:<version>p:<password>`,
instance, sequence, cluster, node, the parameters as (name, type, value), and the time.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Final

from fdtmon.record import Record, Source

DEFAULT_PORT: Final = 8884
# What the C and Java senders call themselves; receivers parse the prefix.
VERSION: Final = "2.17.02-py"
# Below an Ethernet frame with IPv4, UDP and a tunnel's headers: a fragment that is lost loses all.
MAX_DATAGRAM_BYTES: Final = 1440
# A receiver counts losses by the sequence number, which wraps here.
SEQUENCE_LIMIT: Final = 2_000_000_000
# ApMon's own senders keep to this; a MonALISA service may ignore who sends more.
MESSAGES_PER_SECOND: Final = 20
_STRING: Final = 0
_REAL64: Final = 5

_CLUSTERS: Final = {
    Source.CLIENT: "fdtcp",
    Source.DAEMON: "fdtd",
    Source.READER: "fdtd_client_reader",
    Source.WRITER: "fdtd_server_writer",
}

Value = float | str


def xdr_string(text: str) -> bytes:
    """Return `text` as an XDR string: length, UTF-8, zeros up to a multiple of four."""
    data = text.encode()
    return struct.pack("!I", len(data)) + data + bytes(-len(data) % 4)


def encode_datagram(
    *,
    password: str,
    instance: int,
    sequence: int,
    cluster: str,
    node: str,
    values: Sequence[tuple[str, Value]],
    when: int | None,
) -> bytes:
    """Return one datagram; numbers travel as 64 bit reals, `when` is in epoch seconds (None: the receiver's own)."""
    parts = [
        xdr_string(f"v:{VERSION}p:{password}"),
        struct.pack("!ii", instance, sequence),
        xdr_string(cluster),
        xdr_string(node),
        struct.pack("!i", len(values)),
        *(_parameter(name, value) for name, value in values),
    ]
    if when is not None:
        parts.append(struct.pack("!i", when))
    return b"".join(parts)


def _parameter(name: str, value: Value) -> bytes:
    if isinstance(value, str):
        return xdr_string(name) + struct.pack("!i", _STRING) + xdr_string(value)
    return xdr_string(name) + struct.pack("!id", _REAL64, value)


def split_values(
    values: Sequence[tuple[str, Value]], room: int = MAX_DATAGRAM_BYTES
) -> Iterator[Sequence[tuple[str, Value]]]:
    """Cut `values` into runs that take at most `room` bytes each; one that is larger on its own is left out."""
    run: list[tuple[str, Value]] = []
    used = 0
    for name, value in values:
        size = len(_parameter(name, value))
        if size > room:
            continue
        if used + size > room:
            yield run
            run, used = [], 0
        run.append((name, value))
        used += size
    if run:
        yield run


class ApmonSink:
    """Sends to one ApMon receiver: node = the transfer, or the host where the record is not about one."""

    def __init__(self, host: str, port: int = DEFAULT_PORT, password: str = "") -> None:
        """Connect; raises OSError where `host` cannot be resolved."""
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, kind, protocol)
        self._socket.connect(address)
        self._password = password
        self._instance = int.from_bytes(os.urandom(3))
        self._sequence = 0
        self._second = 0
        self._sent_in_second = 0
        self.suppressed = 0

    def send(self, record: Record) -> None:
        """Send `record` in as many datagrams as it takes, within MESSAGES_PER_SECOND."""
        cluster, node = _CLUSTERS[record.source], record.transfer or record.host
        frame = len(self._encode(cluster, node, (), record.time))
        for values in split_values(record.values, MAX_DATAGRAM_BYTES - frame):
            if self._is_over_rate():
                self.suppressed += 1
                continue
            self._sequence = (self._sequence + 1) % SEQUENCE_LIMIT
            self._socket.send(self._encode(cluster, node, values, record.time))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _encode(self, cluster: str, node: str, values: Sequence[tuple[str, Value]], when: float) -> bytes:
        return encode_datagram(
            password=self._password,
            instance=self._instance,
            sequence=self._sequence,
            cluster=cluster,
            node=node,
            values=values,
            when=int(when),
        )

    def _is_over_rate(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._sent_in_second = second, 0
        self._sent_in_second += 1
        return self._sent_in_second > MESSAGES_PER_SECOND
