"""The real command between two real daemons."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from authsvc import ca
from authsvc.credentials import Credential, explain
from fdtcp.cli.lab import DESTINATION, SOURCE
from tests.helpers.clilab import CliLab, cli_lab, wait_until
from tests.helpers.dataset import is_same

SLOW = ("--rate-limit", "2MB")
LARGE = 200_000_000


@pytest.fixture(scope="module")
def lab() -> Iterator[CliLab]:
    with cli_lab({"session": "client_grace = 3s"}) as made:
        yield made


def make_slow(lab: CliLab, name: str) -> str:
    """Make a file that takes minutes at the rate of SLOW and no room on the disk."""
    path = lab.source / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(LARGE)
    return name


def is_moving(lab: CliLab, directory: str) -> bool:
    return any((lab.destination / directory).glob(".*.part"))


def test_one_file_as_arguments(lab: CliLab) -> None:
    name = lab.make(f"{lab.fresh()}/file", 3_000_000)
    os.chmod(lab.source / name, 0o640)
    os.utime(lab.source / name, ns=(10**18, 10**18 + 123))
    ended = lab.run(*lab.pair(name))
    assert ended.code == 0, ended.output
    assert is_same(lab.source / name, lab.destination / name)
    status = (lab.destination / name).stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o640, 10**18 + 123)
    assert ended.report[0][:3] == [*lab.pair(name), "0"]
    assert "1 done" in ended.output
    assert lab.left_behind(os.path.dirname(name)) == []


def test_a_batch_of_all_sorts(lab: CliLab) -> None:
    base = lab.fresh()
    names = [lab.make(f"{base}/{number % 7}/small-{number}", number * 37) for number in range(300)]
    names += [
        lab.make(f"{base}/large", 20_000_000),
        lab.make(f"{base}/empty", 0),
        lab.make(f"{base}/Straße-東京", 5000),
    ]
    ended = lab.run("--copyjobfile", lab.copyjob(names))
    assert ended.code == 0, ended.output
    assert [line[0] for line in ended.report] == [lab.pair(name)[0] for name in names]
    assert all(is_same(lab.source / name, lab.destination / name) for name in names)
    assert set(ended.states()) == {"done"}
    assert all(file["checksum"].startswith("adler32:") for file in ended.result["files"])


def test_the_data_networks_carry_the_bytes(lab: CliLab) -> None:
    name = lab.make(f"{lab.fresh()}/file", 50_000_000)
    ended = lab.run(*lab.pair(name))
    paths = {tuple(path["addresses"]): path["moved"] for path in ended.result["paths"]}
    assert sum(paths.values()) == 50_000_000
    assert {address for pair in paths for address in pair} <= {*SOURCE.data, *DESTINATION.data}
    assert "data path 127." in ended.output


def test_the_user_may_narrow_the_data_addresses(lab: CliLab) -> None:
    name = lab.make(f"{lab.fresh()}/file", 20_000_000)
    ended = lab.run("--customClientIP", SOURCE.data[1], "--customServerIP", DESTINATION.data[1], *lab.pair(name))
    assert ended.code == 0, ended.output
    assert [path["addresses"] for path in ended.result["paths"]] == [[SOURCE.data[1], DESTINATION.data[1]]]


def test_names_with_blanks_go_as_json(lab: CliLab) -> None:
    name = lab.make(f"{lab.fresh()}/a name with blanks", 100)
    copyjob = lab.home / "copyjob.json"
    source, destination = lab.pair(name)
    copyjob.write_text(json.dumps([{"source": source, "destination": destination}]))
    ended = lab.run("-f", copyjob)
    assert ended.code == 0, ended.output
    assert is_same(lab.source / name, lab.destination / name)
    assert ended.report[0][0] == source.replace(" ", "%20")


def test_names_need_not_be_text(lab: CliLab) -> None:
    name = lab.make(f"{lab.fresh()}/\udcff\udcfe", 100)
    ended = lab.run(*lab.pair(name))
    assert ended.code == 0, ended.output
    assert is_same(lab.source / name, lab.destination / name)
    assert ended.report[0][0].endswith("/%FF%FE")
    assert "path_b64" in ended.result["files"][0]["source"]


def test_ten_of_a_hundred_fail_alone(lab: CliLab) -> None:
    base = lab.fresh()
    names = [f"{base}/{number}" for number in range(100)]
    for number, name in enumerate(names):
        if number % 10:
            lab.make(name, 1000)
    ended = lab.run("--copyjobfile", lab.copyjob(names))
    assert ended.code == 1
    assert ended.states().count("done") == 90
    assert [line[2] for line in ended.report] == ["0" if number % 10 else "1" for number in range(100)]
    assert {code for code in ended.codes() if code} == {"source-missing"}
    assert ended.output.count("FAILED") == 10
    assert all(is_same(lab.source / name, lab.destination / name) for n, name in enumerate(names) if n % 10)


def test_an_existing_same_file_is_a_success(lab: CliLab) -> None:
    name = lab.make(f"{lab.fresh()}/file", 100_000)
    assert lab.run(*lab.pair(name)).code == 0
    before = (lab.destination / name).stat()  # its inode and its time say whether it was written again
    ended = lab.run(*lab.pair(name))
    assert (ended.code, ended.states()) == (0, ["skipped"])
    after = (lab.destination / name).stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )
    by_size = lab.run("--same-by", "size", *lab.pair(name))
    assert (by_size.code, by_size.states()) == (0, ["skipped"])


def test_an_existing_other_file_is_left_alone(lab: CliLab) -> None:
    base = lab.fresh()
    names = [lab.make(f"{base}/one", 1000), lab.make(f"{base}/two", 1000)]
    for name, content in zip(names, (b"x" * 1000, b"short"), strict=True):
        path = lab.destination / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    ended = lab.run("--copyjobfile", lab.copyjob(names))
    assert ended.code == 2
    assert [line[2] for line in ended.report] == ["2", "2"]
    assert (lab.destination / names[0]).read_bytes() == b"x" * 1000
    assert (lab.destination / names[1]).read_bytes() == b"short"
    assert lab.left_behind(base) == []


def test_an_existing_other_file_is_replaced_when_asked(lab: CliLab) -> None:
    name = lab.make(f"{lab.fresh()}/file", 1000)
    path = lab.destination / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"other")
    assert lab.run("--on-exists", "overwrite", *lab.pair(name)).code == 0
    assert is_same(lab.source / name, path)


def test_a_directory_is_no_file(lab: CliLab) -> None:
    base = lab.fresh()
    (lab.source / base / "dir").mkdir(parents=True)
    ended = lab.run(*lab.pair(f"{base}/dir"))
    assert (ended.code, ended.codes()) == (1, ["source-not-a-file"])


def test_paths_outside_of_what_the_site_allows_are_a_matter_of_permission(lab: CliLab) -> None:
    name = lab.make(f"{lab.fresh()}/file")
    outside = f"fdt://{lab.lab.daemons['destination'].authority}/nowhere/file"
    ended = lab.run(lab.pair(name)[0], outside)
    assert (ended.code, ended.codes()) == (3, ["path-refused"])
    assert ended.report[0][2] == "3"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_within_seven_seconds(lab: CliLab, number: int) -> None:
    base = lab.fresh()
    names = [lab.make(f"{base}/first", 1000), make_slow(lab, f"{base}/slow")]
    began = time.monotonic()
    process = lab.start(*SLOW, "--sync", "file", "--copyjobfile", lab.copyjob(names))
    wait_until(lambda: is_moving(lab, base) and b"first" in (lab.report.read_bytes() if lab.report.exists() else b""))
    sent = time.monotonic()
    process.send_signal(number)
    ended = lab.wait(process, began)
    assert time.monotonic() - sent < 7
    assert ended.code == 1
    assert [(line[0], line[2]) for line in ended.report] == [(lab.pair(names[0])[0], "0")]
    assert ended.states() == ["done", "unfinished"]
    assert not (lab.destination / names[1]).exists()


def test_a_killed_client_leaves_the_lines_of_what_was_final(lab: CliLab) -> None:
    base = lab.fresh()
    names = [lab.make(f"{base}/first", 1000), make_slow(lab, f"{base}/slow")]
    process = lab.start(*SLOW, "--sync", "file", "--copyjobfile", lab.copyjob(names))
    wait_until(lambda: is_moving(lab, base) and b"first" in (lab.report.read_bytes() if lab.report.exists() else b""))
    process.kill()
    process.communicate()
    (line,) = lab.report.read_text().splitlines()
    assert line.split()[:3] == [*lab.pair(names[0]), "0"]
    # That the daemons' movers are gone after their grace is checked by the fixture that looks for processes.


def test_one_dead_host_does_not_hold_back_the_others(lab: CliLab) -> None:
    name = lab.make(f"{lab.fresh()}/file")
    with socket.create_server(("127.0.0.4", 0)) as silent:  # accepts and never says a word
        dead = f"fdt://127.0.0.4:{silent.getsockname()[1]}/dead"
        refused = "fdt://127.0.0.5:1/refused"
        source = lab.pair(name)[0]
        copyjob = lab.copyjob([name], more=[f"{source} {dead}", f"{refused} {lab.pair(name)[1]}-2"])
        ended = lab.run("--timeout", "2", "--copyjobfile", copyjob)
        assert ended.code == 1
        assert ended.states() == ["done", "failed", "failed"]
        assert ended.codes() == ["", "unreachable", "unreachable"]
        assert ended.result["jobs"][1]["seconds"] >= 2
        assert sorted(line[2] for line in ended.report) == ["0", "1", "1"]
        # With more patience the good one is over while nobody has heard a word of the dead one.
        process = lab.start("--timeout", "60", "--copyjobfile", lab.copyjob([name], more=[f"{source} {dead}"]))
        wait_until(lambda: lab.report.exists() and lab.report.read_text().endswith("\n"))
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert [line[2] for line in lab.wait(process, 0.0).report][:1] == ["0"]
    assert "127.0.0.5" in ended.output


def test_both_dead_hosts_are_named(lab: CliLab) -> None:
    ended = lab.run("--timeout", "2", "fdt://127.0.0.5:1/a", "fdt://127.0.0.6:1/b")
    assert ended.code == 1
    assert {problem["side"] for problem in ended.result["jobs"][0]["problems"]} == {"source", "destination"}
    assert "source, connect" in ended.output
    assert "destination, connect" in ended.output


def authority_of(lab: CliLab) -> ca.LabCa:
    return ca.LabCa(os.path.join(lab.lab.directory, "ca"))


def test_a_stranger_has_no_account(lab: CliLab, tmp_path: Path) -> None:
    stranger = ca.issue_user(authority_of(lab), f"Stranger {lab.fresh()}")
    proxy = ca.issue_proxy(stranger, str(tmp_path / "proxy"))
    name = lab.make(f"{lab.fresh()}/file")
    ended = lab.run("-x", proxy.cert_path, *lab.pair(name))
    assert (ended.code, ended.codes()) == (3, ["not-mapped"])
    assert ended.report[0][2] == "3"
    assert "grid-mapfile" in ended.output


def test_an_expired_proxy_is_named(lab: CliLab, tmp_path: Path) -> None:
    user = Credential(*(os.path.join(lab.lab.directory, "ca", "users", name) for name in _user_files(lab)))
    proxy = ca.issue_proxy(user, str(tmp_path / "proxy"), hours=1 / 3600)
    wait_until(lambda: explain(proxy) is not None)
    name = lab.make(f"{lab.fresh()}/file")
    ended = lab.run("-x", proxy.cert_path, *lab.pair(name))
    assert (ended.code, ended.codes()) == (3, ["credential-expired"])
    assert str(tmp_path / "proxy") in ended.output


def _user_files(lab: CliLab) -> tuple[str, str]:
    users = sorted(os.listdir(os.path.join(lab.lab.directory, "ca", "users")))
    (cert,) = [name for name in users if name.startswith("Demo") and "key" not in name]
    (key,) = [name for name in users if name.startswith("Demo") and "key" in name]
    return cert, key


def test_a_missing_proxy_fails_every_file_in_the_report(lab: CliLab) -> None:
    name = lab.make(f"{lab.fresh()}/file")
    ended = lab.run("-x", "/nowhere/proxy", *lab.pair(name))
    assert ended.code == 1
    assert ended.codes() == ["bad-credential"]
    assert ended.report[0][2] == "1"
    assert "client, authenticate" in ended.output


@pytest.mark.long
@pytest.mark.timeout(180)
def test_a_killed_daemon_loses_what_is_not_final() -> None:
    with cli_lab({"session": "client_grace = 3s"}) as lab:
        base = lab.fresh()
        names = [lab.make(f"{base}/first", 1000), make_slow(lab, f"{base}/slow")]
        began = time.monotonic()
        process = lab.start(*SLOW, "--sync", "file", "--copyjobfile", lab.copyjob(names))
        wait_until(lambda: is_moving(lab, base) and b"first" in lab.report.read_bytes())
        lab.lab.daemons["destination"].process.kill()
        ended = lab.wait(process, began)
        assert ended.code == 1
        assert ended.codes() == ["", "daemon-lost"]
        assert [line[2] for line in ended.report] == ["0", "1"]
