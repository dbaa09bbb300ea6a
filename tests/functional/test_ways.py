"""The command over ways that a site or a firewall asks for: encrypted, in reverse, both."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.contract import Connect, Describe, DescribeReply, Expect, ExpectReply, Listen, ListenReply
from fdtcp.errors import RemoteProblem, Side
from fdtcp.model.order import Policy, SourceFile
from fdtcp.model.policy import Encrypt
from tests.helpers.clilab import CliLab, cli_lab
from tests.helpers.daemons import RunningDaemon
from tests.helpers.pki import Pki

JOB = "ab" * 16


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def lab() -> Iterator[CliLab]:
    with cli_lab() as lab:
        yield lab


@pytest.mark.parametrize(
    "flags", [["--encrypt"], ["--reverse"], ["--encrypt", "--reverse"]], ids=["encrypted", "reverse", "both"]
)
def test_files_arrive_and_the_result_says_how(lab: CliLab, flags: list[str]) -> None:
    names = [lab.make(f"{lab.fresh()}/{size}", size) for size in (0, 1000, 5_000_000)]
    ended = lab.run(*flags, "--copyjobfile", lab.copyjob(names))
    assert (ended.code, ended.states()) == (0, ["done"] * 3), ended.errors
    for name in names:
        assert (lab.destination / name).read_bytes() == (lab.source / name).read_bytes()
    (job,) = ended.result["jobs"]
    assert job["encrypted"] is ("--encrypt" in flags)
    assert all(bool(stream["cipher"]) is job["encrypted"] for stream in job["streams"])
    logs = movers_logs(lab)
    listener = "reader" if "--reverse" in flags else "writer"
    assert f"job={job['id']} role={listener}" in "".join(line for line in logs if " listen " in line)
    assert not any("PRIVATE" in line for line in logs)


def test_without_a_flag_the_streams_are_plain(lab: CliLab) -> None:
    ended = lab.run(*lab.pair(lab.make(f"{lab.fresh()}/file")))
    assert ended.code == 0 and ended.result["jobs"][0]["encrypted"] is False


def movers_logs(lab: CliLab) -> list[str]:
    found = Path(lab.lab.directory).rglob("transfers/*.log")
    return [line for path in found for line in path.read_text().splitlines(keepends=True)]


# --- what sites say ---------------------------------------------------------------------------------------------------


def encrypting(directory: Path, pki: Pki, default: str, overridable: str = "yes") -> RunningDaemon:
    daemon = RunningDaemon(directory, pki)
    with daemon.config.open("a") as file:
        file.write(f"[limits]\n[[encrypt]]\ndefault = {default}\noverridable = {overridable}\n")
    return daemon


def test_a_site_that_requires_encryption_gets_it(tmp_path: Path, pki: Pki) -> None:
    (tmp_path / "source").write_bytes(os.urandom(1000))
    with encrypting(tmp_path / "d", pki, "required") as daemon, daemon.connect() as client:
        with pytest.raises(RemoteProblem, match="requires encrypted streams"):
            client.ask(Expect(JOB, Policy(encrypt=Encrypt.NO), (), (), last=False))
        expected = client.ask(Expect(JOB, Policy(), (), (), last=False))
        assert isinstance(expected, ExpectReply) and expected.encrypts
        listening = client.ask(Listen(JOB, ()))
        assert isinstance(listening, ListenReply) and len(listening.fingerprint) == 32
        files = (SourceFile(0, os.fsencode(tmp_path / "source")),)
        described = client.ask(Describe(JOB, Policy(), (), files))
        assert isinstance(described, DescribeReply) and described.encrypts
        with pytest.raises(RemoteProblem, match="wants encrypted streams"):
            client.ask(Connect(JOB, listening.endpoints, listening.secret))
        client.ask(Connect(JOB, listening.endpoints, listening.secret, Side.SOURCE, listening.fingerprint))
        assert listening.secret.hex() not in daemon.log() and "PRIVATE" not in daemon.log()


def test_a_site_that_forbids_encryption_says_so(tmp_path: Path, pki: Pki) -> None:
    with encrypting(tmp_path / "d", pki, "off", "no") as daemon, daemon.connect() as client:
        with pytest.raises(RemoteProblem, match="does not allow encrypted streams"):
            client.ask(Expect(JOB, Policy(encrypt=Encrypt.YES), (), (), last=False))
        client.ask(Expect(JOB, Policy(), (), (), last=False))
        with pytest.raises(RemoteProblem, match="does not allow encrypted streams"):
            client.ask(Listen(JOB, (), encrypt=True))


def test_a_site_says_whether_reverse_may_be_used_and_by_whom(tmp_path: Path, pki: Pki) -> None:
    daemon = RunningDaemon(tmp_path / "d", pki)
    with daemon.config.open("a") as file:
        file.write("[limits]\n[[reverse]]\nsource = allowed\ndestination = required\naccounts = somebody-else,\n")
    with daemon, daemon.connect() as client:
        with pytest.raises(RemoteProblem, match="requires reverse") as caught:
            client.ask(Expect(JOB, Policy(), (), (), last=False))
        assert caught.value.remote.remedy == "say --reverse"
        client.ask(Expect(JOB, Policy(reverse=True), (), (), last=False))
        files = (SourceFile(0, os.fsencode(tmp_path / "source")),)
        with pytest.raises(RemoteProblem, match="does not allow reverse to the account"):
            client.ask(Describe(JOB, Policy(reverse=True), (), files))
        client.ask(Describe(JOB, Policy(), (), files))
