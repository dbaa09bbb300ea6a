"""StatsD gauges through `python-statsd`: one datagram a value, `fdt.<host>.<source>.<name>`.

Decides the metric names.  Transfer ids are left out of them: a time series a transfer would drown the server.
"""

from __future__ import annotations

from typing import Final

from fdtmon.record import Record

DEFAULT_PORT: Final = 8125


class StatsdSink:
    """Sends to one StatsD server (IPv4 only: the library knows no other)."""

    def __init__(self, host: str, port: int = DEFAULT_PORT) -> None:
        """Connect; raises OSError where `host` cannot be resolved."""
        from statsd import Connection, Gauge

        self._connection = Connection(host, port)
        self._gauge = Gauge("fdt", self._connection)

    def send(self, record: Record) -> None:
        """Send each value of `record` as a gauge; lost datagrams are nobody's error."""
        # A dot separates levels of a metric's name, so those of a host name become underscores.
        prefix = f"{record.host.replace('.', '_').replace(':', '_')}.{record.source}"
        for name, value in record.values:
            self._gauge.send(f"{prefix}.{name}", value)

    def close(self) -> None:
        """Close the socket now; the library would wait for the garbage collector."""
        self._connection.udp_sock.close()
