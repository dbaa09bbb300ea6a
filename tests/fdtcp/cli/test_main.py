"""The command as a process: exit codes of usage errors, and what a start loads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.helpers.clilab import throw_away_identity

PAIR = ("fdt://127.0.0.9:1/a", "fdt://127.0.0.9:1/b")


def fdtcp(*arguments: str, options: tuple[str, ...] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-m", "fdtcp", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | environment,
    )


def loaded(*arguments: str, **environment: str) -> set[str]:
    lines = fdtcp(*arguments, options=("-X", "importtime"), **environment).stderr.splitlines()
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines if line.startswith("import time:")}


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("a",),
        ("--no-such-option",),
        ("--report",),
        ("/local", "fdt://b/x"),
        ("-f", "/nowhere/job"),
        ("-f", "/nowhere/job", *PAIR),
        ("--checksum", "md5", *PAIR),
        ("--timeout", "soon", *PAIR),
        ("--config", "/nowhere/conf", *PAIR),
        ("demo", "--size", "huge"),
        ("demo", "--no-such-option"),
    ],
)
def test_what_cannot_be_acted_on_exits_with_64(arguments: tuple[str, ...]) -> None:
    ended = fdtcp(*arguments)
    assert ended.returncode == 64
    assert ended.stderr.startswith("fdtcp")
    assert "Traceback" not in ended.stderr


def test_a_caller_that_throws_standard_error_away_reads_the_error_in_its_log() -> None:
    assert "names no host" in fdtcp("/local", "fdt://b/x").stdout


def test_help_and_version_are_no_errors() -> None:
    assert "--copyjobfile" in fdtcp("--help").stdout
    assert fdtcp("--version").stdout.startswith("fdtcp ")
    assert fdtcp("--help").returncode == fdtcp("--version").returncode == 0


def test_help_loads_nothing_heavy() -> None:
    assert not loaded("--help") & {"cryptography", "OpenSSL", "rich", "Pyro5", "configobj", "ssl", "fdtd", "logging"}


def test_a_run_loads_no_more_than_it_needs() -> None:
    with throw_away_identity() as identity:
        assert identity.proxy is not None
        found = loaded("--timeout", "2", *PAIR, X509_USER_PROXY=identity.proxy, X509_CERT_DIR=identity.ca_dir)
    assert "ssl" in found
    assert not found & {"cryptography", "OpenSSL", "rich", "configobj", "fdtd", "psutil", "asyncio"}


def test_a_terminal_or_pipe_that_is_gone_is_no_crash() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "fdtcp", "--timeout", "1", *PAIR],
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
            env=os.environ | {"X509_USER_PROXY": "/nowhere"},
        )
    finally:
        os.close(writer)
    assert ended.returncode == 1
    assert b"Traceback" not in ended.stderr
