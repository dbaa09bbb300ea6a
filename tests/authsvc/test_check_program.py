from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from authsvc.cli import main
from tests.helpers.daemons import write_config
from tests.helpers.pki import Pki


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:  # Any: JSON
    code = main(["check", "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_a_users_proxy_is_found_as_fdtcp_finds_it(
    pki: Pki, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("X509_CERT_DIR", pki.certificates)
    monkeypatch.setenv("X509_USER_PROXY", pki.make_proxy("mine", hours=5).cert_path)
    assert main(["check"]) == 0
    assert capsys.readouterr().out.startswith("OK - the proxy ")
    assert run(capsys, "--warning", "1d")[0] == 1
    assert run(capsys, "--critical", "1d", "--warning", "2d")[0] == 2
    code, told = run(capsys, "--proxy", "/nonexistent")
    assert (code, told["level"]) == (2, "critical")
    assert "there is no proxy at /nonexistent" in told["findings"][0]["text"]


def test_a_host_is_looked_at_by_its_fdtd_conf(pki: Pki, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, pki, {})
    code, told = run(capsys, "--config", str(config))
    assert (code, told["level"]) == (0, "ok"), told
    assert {one["subject"] for one in told["findings"]} == {"credential", "chain", "ca-directory", "crl", "map"}
    (tmp_path / "grid-mapfile").write_text("nonsense\n/CN=x nobody\n")
    code, told = run(capsys, "--config", str(config))
    assert code == 1
    assert any("grid-mapfile, line 1: " in one["text"] for one in told["findings"])
    # Where the site's service knows the accounts, a map here does not count.
    config = write_config(tmp_path, pki, {"accounts": {"source": "authsvc://127.0.0.1:1"}}, mapping="nonsense\n")
    assert run(capsys, "--config", str(config))[0] == 0


def test_an_account_service_is_looked_at_by_its_authsvc_conf_with_the_proxies_it_renews(
    pki: Pki, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "map").write_text("/CN=x alice\n")
    config = tmp_path / "authsvc.conf"
    config.write_text(
        f'[service]\ncallers = "/CN=se1",\n[security]\ncertificate = {pki.host.cert_path}\nkey = {pki.host.key_path}\n'
        f"ca_dir = {pki.certificates}\n[accounts]\ngridmap = {tmp_path}/map\n"
        f"[renew]\n[[one]]\nserver = myproxy.example.org\nproxy = {pki.make_proxy('renewed', hours=0.5).cert_path}\n"
    )
    code, told = run(capsys, "--config", str(config))
    assert code == 1
    assert any("ends in 29 minutes" in one["text"] for one in told["findings"])


def test_what_keeps_from_looking_is_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "conf"
    path.write_text("[service]\ncallers = nonsense,\n")
    assert run(capsys, "--config", str(path))[0] == 3
    assert run(capsys, "--config", str(tmp_path / "none"))[0] == 3


def test_a_certificate_and_a_map_can_be_named(pki: Pki, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "map").write_text("/cms nobody\n")
    files = ("--cert", pki.user.cert_path, "--key", pki.user.key_path, "--ca-dir", pki.certificates)
    assert run(capsys, *files, "--fqanmap", str(tmp_path / "map"))[0] == 0
    assert run(capsys, *files, "--gridmap", str(tmp_path / "map"), "--fqanmap", "/nonexistent")[0] == 2
