from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import fdtcp
from authsvc.errors import BadCredential
from fdtcp import Client
from fdtcp.errors import BadCopyjob, BadPfn


def test_nothing_is_loaded_before_the_client_is_wanted() -> None:
    code = "import sys, fdtcp, fdtcp.units; sys.exit('fdtcp.client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="Server"):
        _ = fdtcp.Server


def test_what_cannot_be_acted_on_is_refused_before_anything_moves(tmp_path: Path) -> None:
    client = Client(proxy=str(tmp_path / "none"))
    with pytest.raises(BadPfn):
        client.transfer([("/local", b"fdt://b/x")])
    with pytest.raises(BadCopyjob, match="no file"):
        client.transfer([])
    with pytest.raises(BadCopyjob, match="destination of transfer 1"):
        client.transfer([("fdt://a/x", "fdt://b/x"), ("fdt://a/y", "fdt://b/x")])
    with pytest.raises(BadCredential):
        client.transfer([("fdt://a/x", "fdt://b/x")])
