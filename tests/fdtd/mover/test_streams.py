"""Sockets of data streams."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from struct import unpack

import pytest

from fdtcp.errors import ProtocolViolation
from fdtcp.model.order import Endpoint, Policy
from fdtd.mover import streams
from fdtd.mover.frames import HEADER_BYTES, Header, Kind, encode_header
from fdtd.mover.streams import StreamBroken


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    listener = streams.listen("127.0.0.1", (0,), Policy())
    assert listener is not None
    with listener:
        endpoint = Endpoint("127.0.0.1", listener.getsockname()[1])
        one = streams.connect(endpoint, "127.0.0.1", Policy(congestion="cubic", buffer_size=1 << 16), 5.0)
        other, _ = listener.accept()
    with one, other:
        yield one, other


def test_a_taken_port_is_passed_over_and_none_is_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert streams.listen("127.0.0.1", (port,), Policy()) is None
        second = streams.listen("127.0.0.1", (port, 0), Policy())
    assert second is not None
    second.close()


def test_an_address_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(OSError, match="assign"):
        streams.listen("192.0.2.1", (0,), Policy())


def congestion_of(policy: Policy) -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint("127.0.0.1", listener.getsockname()[1])
        with streams.connect(endpoint, "", policy, 5.0) as stream:
            return stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()


def test_streams_within_one_host_are_not_paced_unless_somebody_says_so() -> None:
    assert streams.is_here("127.0.0.1") and streams.is_here("::1")
    assert not streams.is_here("192.0.2.1")
    assert congestion_of(Policy()) == "cubic"
    assert congestion_of(Policy(congestion="reno")) == "reno"


def test_a_stream_is_paced_if_somebody_says_so(pair: tuple[socket.socket, socket.socket]) -> None:
    streams.tune(pair[0], Policy())
    streams.tune(pair[1], Policy(stream_rate=5_000_000_000))
    rates = [unpack("L", one.getsockopt(socket.SOL_SOCKET, streams._SO_MAX_PACING_RATE, 8))[0] for one in pair]
    assert rates == [(1 << 64) - 1, 5_000_000_000]


def test_a_tuned_stream_notices_silence(pair: tuple[socket.socket, socket.socket]) -> None:
    streams.tune(pair[0], Policy(stall_timeout=0.1))
    with pytest.raises(StreamBroken):
        streams.read_exactly(pair[0], memoryview(bytearray(1)))


def test_a_stream_that_ends_in_mid_frame_is_broken(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].sendall(b"short")
    pair[1].close()
    with pytest.raises(StreamBroken):
        streams.read_exactly(pair[0], memoryview(bytearray(10)))


def test_headers_are_checked_as_they_are_read(pair: tuple[socket.socket, socket.socket]) -> None:
    scratch = memoryview(bytearray(HEADER_BYTES))
    pair[1].sendall(encode_header(Header(Kind.BYE)) + encode_header(Header(Kind.BLOCK, length=1 << 40)))
    assert streams.read_header(pair[0], scratch) == Header(Kind.BYE)
    with pytest.raises(ProtocolViolation):
        streams.read_header(pair[0], scratch)


def test_files_and_buffers_arrive_whole(pair: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(30_000))
    with (tmp_path / "file").open("rb") as file:
        assert streams.send_file(pair[0], file.fileno(), 10_000, 50_000) == 20_000
    streams.send_gathered(pair[0], [b"a" * 10, memoryview(b""), b"b" * 3000])
    buffer = memoryview(bytearray(23_010))
    streams.read_exactly(pair[1], buffer)
    assert bytes(buffer) == (tmp_path / "file").read_bytes()[10_000:] + b"a" * 10 + b"b" * 3000


def test_sending_to_nobody_is_a_broken_stream(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].close()
    with pytest.raises(StreamBroken):
        for _ in range(100):
            streams.send_all(pair[0], bytes(100_000))


@pytest.mark.parametrize("by_sendfile", [False, True])
def test_a_peer_that_hangs_up_with_full_buffers_is_noticed_long_before_the_stall_time(
    pair: tuple[socket.socket, socket.socket], tmp_path: Path, by_sendfile: bool
) -> None:
    """It reads nothing, so nothing can be sent, and its end of the stream arrives where nobody reads."""
    streams.tune(pair[0], Policy(stall_timeout=30.0))
    pair[1].shutdown(socket.SHUT_WR)
    (tmp_path / "file").write_bytes(bytes(32 << 20))
    with (tmp_path / "file").open("rb") as file, pytest.raises(StreamBroken, match="hung up"):
        if by_sendfile:
            streams.send_file(pair[0], file.fileno(), 0, 32 << 20)
        else:
            streams.send_all(pair[0], file.read())


@pytest.mark.parametrize("by_sendfile", [False, True])
def test_a_peer_that_reads_nothing_is_given_up_after_the_stall_time(
    pair: tuple[socket.socket, socket.socket], tmp_path: Path, by_sendfile: bool
) -> None:
    streams.tune(pair[0], Policy(stall_timeout=0.2))
    (tmp_path / "file").write_bytes(bytes(32 << 20))
    with (tmp_path / "file").open("rb") as file, pytest.raises(StreamBroken):
        if by_sendfile:
            streams.send_file(pair[0], file.fileno(), 0, 32 << 20)
        else:
            streams.send_all(pair[0], file.read())


def test_addresses_are_written_for_people() -> None:
    assert streams.name_of(("192.0.2.1", 5)) == "192.0.2.1:5"
    assert streams.name_of(("2001:db8::1", 5, 0, 0)) == "[2001:db8::1]:5"


def test_the_kernel_knows_the_path(pair: tuple[socket.socket, socket.socket]) -> None:
    path = streams.path_of(pair[0])
    assert 0 < path.least_round_trip_s <= path.round_trip_s < 1
    assert path.resent == 0 and path.congestion.isalnum()


def test_who_listens_and_sends_chooses_as_who_connects_does() -> None:
    listener = streams.listen("127.0.0.1", (0,), Policy(congestion="reno"), "127.0.0.1")
    assert listener is not None
    with listener, socket.create_connection(listener.getsockname()):
        stream, _ = listener.accept()
        with stream:
            assert streams.path_of(stream).congestion == "reno"
    with pytest.raises(OSError, match="No such file"):
        streams.listen("127.0.0.1", (0,), Policy(congestion="nosuch"), "127.0.0.1")
