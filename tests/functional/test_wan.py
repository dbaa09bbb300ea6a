"""The real command between two real daemons that are far from each other."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fdtcp.cli.lab import Lab, LabHost
from tests.helpers.dataset import is_same, make_file
from tests.helpers.wan import NETWORK, Wan
from tests.helpers.wanlink import Way

WITHIN_S = 60.0
SIZES = (12_000_000, *(16_000 + number for number in range(400)))


def namespaces() -> str:
    return subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout


def test_the_wire_loses_packets_and_not_the_frames_that_they_share() -> None:
    # virtio_net_hdr of TCP over IPv4 in packets of 100 bytes of payload; 20 bytes of each header; 950 bytes.
    vnet = struct.pack("=BBHHHH", 1, 1, 40, 100, 20, 16)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 990, 7, 0x4000, 64, 6, 0, b"\x0a\x61\x00\x01", b"\x0a\x61\x00\x02")
    payload = bytes(number // 100 for number in range(950))
    frame = vnet + ip + struct.pack("!HHIIBBHHH", 1, 2, 2**32 - 50, 0, 0x50, 0x18, 9, 0, 0) + payload
    way = Way(delay_s=0.0, rate=1e9, loss=0.3, queue_s=1.0, seed=4)
    for _ in range(10):
        way.take(frame, 0.0)
    arrived = list(way.due(1.0))
    assert 10 <= way.lost <= 50
    assert sum(len(piece) - 50 for piece in arrived) in range(9500 - way.lost * 100, 9501 - way.lost * 50)
    for piece in arrived:
        head, data = piece[10:50], piece[50:]
        assert len(data) == int.from_bytes(head[2:4]) - 40
        assert data[0] * 100 == (int.from_bytes(head[24:28]) + 50) % 2**32
        assert (head[33] & 8 != 0) == (data[-1] == 9), "only the last one is pushed"
        assert piece[1] == (len(data) > 100), "a single packet is no frame of many"


@pytest.mark.root
@pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="the long wire ends in TUN devices")
def test_a_large_file_and_small_ones_over_50_ms_and_some_loss() -> None:
    with TemporaryDirectory(prefix="fdt-wan-") as home, Wan(0.05, 0.0005) as wan:
        hosts = (
            LabHost("source", wan.near.control, (wan.near.data,), wan.near.command),
            LabHost("destination", wan.far.control, (wan.far.data,), wan.far.command),
        )
        with Lab(home, hosts=hosts, peers=NETWORK) as lab:
            lab.make()
            for host in hosts:
                lab.start(host)
            names = [f"file-{number}" for number in range(len(SIZES))]
            for name, size in zip(names, SIZES, strict=True):
                make_file(Path(lab.data(hosts[0]), name), size)
            copyjob = Path(home, "copyjob")
            copyjob.write_text("".join(f"{lab.pfn(hosts[0], name)} {lab.pfn(hosts[1], name)}\n" for name in names))
            subprocess.run(
                [
                    *wan.near.command,
                    sys.executable,
                    "-m",
                    "fdtcp",
                    "--json",
                    f"{home}/result",
                    "--copyjobfile",
                    copyjob,
                ],
                env=lab.environment,
                check=True,
                timeout=WITHIN_S,
            )
            same = [is_same(*(Path(lab.data(host), name) for host in hosts)) for name in names]
            assert all(same)
            (job,) = json.loads(Path(home, "result").read_text())["jobs"]
            assert len([stream for stream in job["streams"] if stream["moved"]]) > 1
    assert wan.dropped.partition(" lost")[0] != "0"
    assert wan.near.namespace not in namespaces() and wan.far.namespace not in namespaces()
