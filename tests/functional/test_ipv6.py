"""The whole command between two hosts that have IPv6 addresses only, for commands and for bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from fdtcp.cli.lab import LabHost
from tests.helpers.clilab import CliLab, cli_lab
from tests.helpers.dataset import is_same

HOSTS = (LabHost("source", "::1", ("::1",)), LabHost("destination", "::1", ("::1",)))


@pytest.fixture(scope="module")
def lab() -> Iterator[CliLab]:
    with cli_lab(hosts=HOSTS, peers="::1/128,") as made:
        yield made


def addresses(lab: CliLab, *names: str) -> list[tuple[str, str]]:
    return [(lab.lab.pfn(HOSTS[0], name), lab.lab.pfn(HOSTS[1], name)) for name in names]


def test_files_travel_between_hosts_that_have_ipv6_only(lab: CliLab) -> None:
    base = lab.fresh()
    names = [lab.make(f"{base}/large", 20 << 20), lab.make(f"{base}/small", 1000), lab.make(f"{base}/empty", 0)]
    pairs = addresses(lab, *names)
    assert all(one.startswith("fdt://[::1]:") for pair in pairs for one in pair)
    copyjob = lab.copyjob([], more=[" ".join(pair) for pair in pairs])
    ended = lab.run("--streams", "2", "--copyjobfile", copyjob)
    assert ended.states() == ["done", "done", "done"], ended.output
    assert all(is_same(lab.source / name, lab.destination / name) for name in names)
    (job,) = ended.result["jobs"]
    assert {stream[end].rpartition(":")[0] for stream in job["streams"] for end in ("local", "remote")} == {"[::1]"}


def test_an_address_is_told_in_brackets_when_nothing_is_there(lab: CliLab) -> None:
    ((source, _),) = addresses(lab, lab.make(f"{lab.fresh()}/file"))
    ended = lab.run("--timeout", "2", source, f"fdt://[::1]:1{lab.destination}/file")
    assert ended.codes() == ["unreachable"]
    assert "[::1]:1" in ended.output


def test_a_delegated_job_calls_its_source_over_ipv6(lab: CliLab) -> None:
    name = lab.make(f"{lab.fresh()}/file", 3 << 20)
    ((source, target),) = addresses(lab, name)
    ended = lab.run("--delegate", source, target)
    assert ended.code == 0, ended.output
    assert is_same(lab.source / name, lab.destination / name)
    assert os.listdir((lab.destination / name).parent) == ["file"]
