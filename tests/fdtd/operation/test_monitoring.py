from __future__ import annotations

import socket
from pathlib import Path

import pytest

from fdtcp.errors import Side
from fdtcp.model.order import Progress, StreamProgress
from fdtd.operation.monitoring import host_name, open_emitter, progress_record
from fdtd.site.config import Settings, load_config
from fdtmon.record import Record, Source


def settings(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "fdtd.conf"
    path.write_text(text)
    return load_config(str(path))


def test_a_movers_progress_becomes_a_record_of_its_role() -> None:
    streams = (StreamProgress(0, "a", "b", 5, True), StreamProgress(1, "a", "b", 5, False))
    record = progress_record("se1", "ab", Side.SOURCE, Progress(10, 2, streams), 7.0)
    values = (("moved_bytes", 10.0), ("files", 2.0), ("streams", 1.0))
    assert record == Record(Source.READER, "se1", "ab", 7.0, values)


def test_records_reach_the_configured_receivers(tmp_path: Path) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as apmon,
    ):
        statsd.bind(("127.0.0.1", 0))
        apmon.bind(("::1", 0))
        ports = statsd.getsockname()[1], apmon.getsockname()[1]
        for receiver in (statsd, apmon):
            receiver.settimeout(5)
        text = f"[monitoring]\nstatsd = 127.0.0.1:{ports[0]}\napmon = [::1]:{ports[1]}\n"
        emitter = open_emitter(settings(tmp_path, text))
        emitter.emit(Record(Source.WRITER, "se1", "ab", 1.0, (("moved_bytes", 5.0),)))
        assert statsd.recv(2000) == b"fdt.se1.writer.moved_bytes:5.0|g"
        assert b"fdtd_server_writer" in apmon.recv(2000)
        emitter.close()


def test_a_receiver_that_cannot_be_found_does_not_keep_a_daemon_from_serving(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_emitter(settings(tmp_path, "[monitoring]\nstatsd = no-such-host.invalid:8125\n")).close()
    assert "monitoring-left-out" in caplog.text


def test_a_host_is_known_by_the_name_that_it_advertises(tmp_path: Path) -> None:
    assert host_name(settings(tmp_path, "[service]\nadvertise = se1.example.org\n")) == "se1.example.org"
    assert host_name(settings(tmp_path, "")) == socket.gethostname()
