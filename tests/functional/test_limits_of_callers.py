"""What a caller asks for himself, end to end: an account on one side, and a bearer token that narrows his rights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from authsvc import ca
from authsvc.credentials import Credential
from fdtcp.cli.lab import DESTINATION, SOURCE, account
from tests.helpers.clilab import CliLab, cli_lab
from tests.helpers.mint import AUDIENCE, ISSUER, Mint


@pytest.fixture(scope="module")
def mint(tmp_path_factory: pytest.TempPathFactory) -> Mint:
    return Mint(tmp_path_factory.mktemp("mint"))


@pytest.fixture
def lab(mint: Mint) -> Iterator[CliLab]:
    tokens = f"[[lab]]\nissuer = {ISSUER}\nkeys = {mint.keys}\naudiences = {AUDIENCE},"
    with cli_lab({"tokens": tokens}) as one:
        yield one


def test_a_token_limits_a_run_to_its_paths(lab: CliLab, mint: Mint) -> None:
    source, destination = lab.lab.data(SOURCE), lab.lab.data(DESTINATION)
    for name in ("in/a", "in/b", "out/c"):
        lab.make(name)
    (lab.source / "in" / "link").symlink_to("../out/c")
    jobs = lab.copyjob(["in/a", "in/b", "out/c", "in/link"])

    scope = f"storage.read:{source}/in storage.modify:{destination}/in storage.modify:{destination}/out"
    ended = lab.run("--token", mint.file("both", scope), "-f", jobs)
    assert ended.states() == ["done", "done", "failed", "failed"]
    assert ended.codes() == ["", "", "path-refused", "path-refused"]
    assert "bearer token" in ended.result["files"][2]["problem"]["reason"]
    assert (lab.destination / "in" / "a").read_bytes() == (lab.source / "in" / "a").read_bytes()

    scope = f"storage.read:{source} storage.modify:{destination}/new/deep/b"
    jobs.write_text(f"{lab.pair('in/b')[0]} {lab.pair('new/deep/b')[1]}\n{lab.pair('in/a')[0]} {lab.pair('new/a')[1]}")
    ended = lab.run("--token", mint.file("one-file", scope), "-f", jobs)
    assert ended.states() == ["done", "failed"]
    assert ended.result["files"][1]["problem"]["side"] == "destination"

    source_only = mint.file("one-source", f"storage.read:{source}/in/b storage.modify:/")
    jobs.write_text(f"{lab.pair('in/b')[0]} {lab.pair('only/b')[1]}\n{lab.pair('in/a')[0]} {lab.pair('only/a')[1]}")
    ended = lab.run("--token", "discover", "-f", jobs, environment={"BEARER_TOKEN_FILE": str(source_only)})
    assert ended.states() == ["done", "failed"]
    assert ended.result["files"][1]["problem"]["side"] == "source"


def test_a_token_that_does_not_hold_is_refused_and_none_is_needed(lab: CliLab, mint: Mint, tmp_path: Path) -> None:
    lab.make("a")
    elsewhere = mint.file("elsewhere", "storage.read:/ storage.modify:/", aud="https://elsewhere.example.org")
    ended = lab.run("--token", elsewhere, *lab.pair("a"))
    assert (ended.code, ended.codes()) == (3, ["token-refused"])
    ended = lab.run("--token", tmp_path / "none", *lab.pair("a"))
    assert ended.codes() == ["bad-token"]
    ended = lab.run(*lab.pair("a"))
    assert ended.code == 0


def test_a_proxy_that_ends_within_minutes_is_told_of(lab: CliLab, tmp_path: Path) -> None:
    lab.make("a")
    users = Path(lab.lab.directory) / "ca" / "users"
    user = Credential(str(users / "Demo_User.pem"), str(users / "Demo_User.key"))
    soon = ca.issue_proxy(user, str(tmp_path / "soon"), hours=0.1)
    ended = lab.run("-x", soon.cert_path, *lab.pair("a"))
    assert ended.code == 0
    assert "warning: the proxy" in ended.output
    assert "ends in 5 minutes" in ended.output
    assert "warning" not in lab.run(*lab.pair("a")).output


def test_an_account_is_asked_for_at_one_side(lab: CliLab) -> None:
    lab.make("a")
    Path(lab.lab.gridmap).write_text(Path(lab.lab.gridmap).read_text().strip() + ",nobody\n")
    for options, side, code in (
        (("--source-account", "eve"), "source", "not-mapped"),
        (("--destination-account", "eve"), "destination", "not-mapped"),
        (("--account", account(), "--destination-account", "nobody"), "destination", "account-refused"),
    ):
        ended = lab.run(*options, *lab.pair("a"))
        assert ended.codes() == [code]
        assert ended.result["files"][0]["problem"]["side"] == side
    assert lab.run("--account", account(), *lab.pair("a")).code == 0
