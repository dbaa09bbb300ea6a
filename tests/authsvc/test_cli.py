from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from authsvc.channel import Acceptor, Connection
from authsvc.cli import main
from authsvc.credentials import Credential


def test_four_commands_make_a_lab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab, proxy = str(tmp_path / "lab"), str(tmp_path / "proxy")
    assert main(["ca", "init", lab]) == 0
    assert f"export X509_CERT_DIR={lab}/certificates" in capsys.readouterr().out
    assert main(["ca", "host", lab, "storage.example.org", "127.0.0.2", "::1"]) == 0
    assert f"{lab}/hosts/storage.example.org.pem" in capsys.readouterr().out
    assert main(["ca", "user", lab, "Some Body"]) == 0
    assert '"/O=fdt-lab/CN=Some Body" ACCOUNT' in capsys.readouterr().out
    user = f"{lab}/users/Some_Body"
    assert main(["ca", "proxy", "--cert", f"{user}.pem", "--key", f"{user}.key", "--out", proxy]) == 0
    assert f"export X509_USER_PROXY={proxy}" in capsys.readouterr().out
    assert main(["ca", "proxy", "--cert", proxy, "--out", f"{proxy}2", "--limited", "--hours", "1"]) == 0

    host = Credential(f"{lab}/hosts/storage.example.org.pem", f"{lab}/hosts/storage.example.org.key")
    acceptor = Acceptor(
        listen=[("127.0.0.2", 0)],
        credential=host,
        ca_dir=f"{lab}/certificates",
        authorise=lambda _identity, _account: "alice",
        handler_for=lambda _caller: lambda _name, argument: argument,
        version="x",
    )
    acceptor.start()
    try:
        credential = Credential(f"{proxy}2", f"{proxy}2")
        ca_dir, deadline = f"{lab}/certificates", time.monotonic() + 10
        with Connection.open(
            *acceptor.addresses[0], credential=credential, ca_dir=ca_dir, deadline=deadline
        ) as connection:
            assert connection.hello.limited
            assert connection.hello.dn == "/O=fdt-lab/CN=Some Body"
    finally:
        acceptor.stop()


def test_a_second_ca_in_the_same_place_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ca", "init", str(tmp_path)]) == 0
    assert main(["ca", "init", str(tmp_path)]) == 64
    assert "there is a CA in" in capsys.readouterr().err
    assert main(["ca", "init", str(tmp_path), "--force"]) == 0


def test_a_place_that_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ca", "init", "/proc/lab"]) == 1
    assert "/proc/lab" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["ca"],
        ["ca", "init"],
        ["nonsense"],
        ["ca", "proxy", "--cert", "x", "--out", "y", "--hours", "0"],
        ["ca", "proxy", "--cert", "x", "--out", "y", "--hours", "nan"],
        ["ca", "proxy", "--cert", "x", "--out", "y", "--path-length", "-1"],
    ],
)
def test_usage_errors_have_fdtcps_status(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 64
    assert "usage: authsvc" in capsys.readouterr().err


def test_help_loads_nothing_heavy() -> None:
    code = """
import sys
import time
from authsvc.cli import build_parser
build_parser()
assert not [name for name in ("cryptography", "Pyro5", "OpenSSL") if name in sys.modules]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
