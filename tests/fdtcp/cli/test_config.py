from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from authsvc.authorities import TrustRules
from fdtcp.channels import DEFAULT_CA_DIR
from fdtcp.cli import config
from fdtcp.cli.config import Config, load_config
from fdtcp.errors import BadSettings
from fdtcp.model.options import PARSERS, choose

SHIPPED = Path(__file__).parents[3] / "etc" / "fdtcp.conf"


@pytest.fixture(autouse=True)
def no_default_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config, "DEFAULT_CONFIG", str(tmp_path / "none.conf"))


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "fdtcp.conf"
    path.write_text(text)
    return str(path)


def test_who_has_no_file_gets_the_defaults() -> None:
    assert load_config(None, {}) == Config()


def test_the_default_file_is_read_if_it_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config, "DEFAULT_CONFIG", write(tmp_path, "[client]\ntimeout = 3s\n"))
    assert load_config(None, {}).timeout == 3.0


def test_a_file_that_was_named_must_be_there() -> None:
    with pytest.raises(BadSettings, match="nowhere"):
        load_config("/nowhere/fdtcp.conf", {})


def test_the_options_of_a_transfer_are_those_of_the_command_line(tmp_path: Path) -> None:
    text = "[transfer]\nstreams = 3\nsync = file\nrate_limit = 1GB\nsource_addresses = 127.1.0.2, 127.2.0.2\n"
    made = load_config(write(tmp_path, text + "destination_addresses = 127.1.0.3\n"), {})
    options = choose({"streams": "4"}, made.transfer)
    assert (options.policy.streams, options.policy.sync, options.policy.rate_limit) == (4, "file", 10**9)
    assert options.source_addresses == ("127.1.0.2", "127.2.0.2")
    assert options.destination_addresses == ("127.1.0.3",)


def test_hosts_may_have_names_of_their_own_in_certificates(tmp_path: Path) -> None:
    made = load_config(write(tmp_path, '[peers]\nSE.example.org = "/DC=org/CN=fdt/se"\n'), {})
    assert made.peers == {"se.example.org": "/DC=org/CN=fdt/se"}


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[client]\nca_dir = /from/file\n")
    assert load_config(path, {}).ca_dir == "/from/file"
    assert load_config(path, {"X509_CERT_DIR": "/from/environment"}).ca_dir == "/from/environment"
    assert load_config(None, {"X509_CERT_DIR": "/from/environment"}).ca_dir == "/from/environment"
    assert load_config(None, {}).ca_dir == DEFAULT_CA_DIR


def test_bad_values_are_named_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(BadSettings) as caught:
        load_config(write(tmp_path, "[client]\ntimeout = soon\n[transfer]\nchecksum = md5\nstreems = 1\n"), {})
    for words in ("line 2", "line 4", "none, adler32, crc32", "line 5"):
        assert words in caught.value.reason


def test_the_shipped_file_says_the_defaults(tmp_path: Path) -> None:
    shipped = load_config(str(SHIPPED), {})
    assert replace(shipped, trust=None) == Config()
    assert shipped.trust == TrustRules(), "which is what None stands for"
    uncommented = re.sub(r"(?m)^# (\w+ = )", r"\1", SHIPPED.read_text())
    whole = load_config(write(tmp_path, uncommented), {})
    assert choose({}, whole.transfer) == choose({})
    assert (whole.timeout, whole.ca_dir, whole.account) == (shipped.timeout, shipped.ca_dir, None)
    assert whole.trust == TrustRules()
    assert set(whole.transfer) == set(PARSERS)
