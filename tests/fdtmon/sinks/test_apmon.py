from __future__ import annotations

import socket

from fdtmon.record import Record, Source
from fdtmon.sinks.apmon import MAX_DATAGRAM_BYTES, MESSAGES_PER_SECOND, ApmonSink, encode_datagram, split_values

# What a MonALISA service accepts, byte for byte.
VECTOR = bytes.fromhex(
    "00000014763a322e31372e30322d7079703a736563726574039a01b900000001000000056664746370000000000000056e6f646531000000"
    "000000030000000472617465000000053ff8000000000000000000016e00000000000005401c000000000000000000017300000000000000"
    "0000000568c3a9c3a90000006553f100"
)


def test_a_datagram_is_what_monalisa_expects() -> None:
    datagram = encode_datagram(
        password="secret",
        instance=60424633,
        sequence=1,
        cluster="fdtcp",
        node="node1",
        values=[("rate", 1.5), ("n", 7.0), ("s", "héé")],
        when=1700000000,
    )
    assert datagram == VECTOR


def test_values_that_do_not_fit_one_datagram_are_split_and_none_is_lost() -> None:
    values = [(f"value-{n:03}", float(n)) for n in range(200)]
    runs = list(split_values(values))
    assert [value for run in runs for value in run] == values
    assert len(runs) > 1


def test_a_value_larger_than_a_datagram_is_left_out() -> None:
    assert list(split_values([("big", "x" * 2000), ("small", 1.0)])) == [[("small", 1.0)]]


def test_a_record_arrives_within_the_size_and_rate_that_receivers_bear() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        sink = ApmonSink("127.0.0.1", receiver.getsockname()[1], "pw")
        sink.send(Record(Source.READER, "h", "ab12", 1.0, tuple((f"v{n}", float(n)) for n in range(100))))
        datagram = receiver.recv(4000)
        assert len(datagram) <= MAX_DATAGRAM_BYTES
        assert b"fdtd_client_reader" in datagram
        assert b"ab12" in datagram
        for _ in range(3 * MESSAGES_PER_SECOND):
            sink.send(Record(Source.READER, "h", "ab12", 1.0, (("v", 1.0),)))
        # The second may turn once while this runs, never twice.
        assert sink.suppressed >= MESSAGES_PER_SECOND
        sink.close()
