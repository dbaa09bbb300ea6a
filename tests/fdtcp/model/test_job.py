from __future__ import annotations

from fdtcp.model.job import group
from fdtcp.model.pfn import Address, Pfn
from fdtcp.model.transfer import Transfer


def transfer(source: bytes, destination: bytes, name: bytes) -> Transfer:
    return Transfer(Pfn.parse(b"fdt://%s/%s" % (source, name)), Pfn.parse(b"fdt://%s/%s" % (destination, name)))


def test_transfers_between_the_same_daemons_make_one_job() -> None:
    first, other = group([transfer(b"a", b"b", b"0"), transfer(b"a", b"c", b"1"), transfer(b"A:8444", b"b", b"2")])
    assert (first.source, first.destination) == (Address("a", 8444), Address("b", 8444))
    assert [one.source.path for one in first.transfers] == [b"/0", b"/2"]
    assert (first.positions, other.positions) == ((0, 2), (1,))
    assert str(other) == "a:8444 -> c:8444"


def test_directions_and_ports_are_told_apart() -> None:
    jobs = group([transfer(b"a", b"b", b"0"), transfer(b"b", b"a", b"1"), transfer(b"a:1", b"b", b"2")])
    assert len(jobs) == 3
