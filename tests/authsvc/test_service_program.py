from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from authsvc.errors import BadGridmap
from authsvc.service_config import load_config
from authsvc.service_program import make_acceptor
from fdtcp.errors import BadSettings
from tests.helpers.accountservice import AccountService
from tests.helpers.pki import Pki


def test_it_says_where_it_listens_survives_a_hangup_and_leaves_on_term(tmp_path: Path, pki: Pki) -> None:
    service = AccountService(tmp_path, pki, callers=("/CN=se1",))
    with service:
        assert service.port > 0
        service.send_signal(signal.SIGHUP)
    assert service.stop() == 0
    assert "event=ready" in service.log()
    assert "event=left" in service.log()
    assert "Traceback" not in service.log()


def test_without_callers_or_maps_it_does_not_start(tmp_path: Path) -> None:
    path = tmp_path / "conf"
    path.write_text("")
    with pytest.raises(BadSettings, match="nobody may ask"):
        make_acceptor(load_config(str(path)))
    path.write_text(f'[service]\ncallers = "/CN=se1",\n[accounts]\ngridmap = {tmp_path}/none\n')
    with pytest.raises(BadGridmap):
        make_acceptor(load_config(str(path)))
    command = [sys.executable, "-m", "authsvc", "serve", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "bad-gridmap" in done.stderr
