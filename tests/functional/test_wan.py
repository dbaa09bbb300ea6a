"""The real command between two real daemons that are far from each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fdtcp.cli.lab import Lab, LabHost
from tests.helpers.dataset import is_same, make_file
from tests.helpers.wan import NETWORK, Wan

WITHIN_S = 60.0
SIZES = (12_000_000, *(16_000 + number for number in range(400)))

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="the long wire ends in TUN devices"),
]


def namespaces() -> str:
    return subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout


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
