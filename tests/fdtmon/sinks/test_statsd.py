from __future__ import annotations

import socket

from fdtmon.record import Record, Source
from fdtmon.sinks.statsd import StatsdSink


def test_each_value_is_a_gauge_named_by_host_source_and_metric() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        sink = StatsdSink("127.0.0.1", receiver.getsockname()[1])
        sink.send(Record(Source.WRITER, "se1.example.org", "ab", 1.0, (("moved_bytes", 5.0), ("files", 2.0))))
        assert receiver.recv(2000) == b"fdt.se1_example_org.writer.moved_bytes:5.0|g"
        assert receiver.recv(2000) == b"fdt.se1_example_org.writer.files:2.0|g"
        sink.close()
