"""In processes of their own: the settings belong to a whole process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.authsvc.listening import Listening
from tests.helpers.pki import Pki


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_program_is_not_changed_by_its_environment() -> None:
    code = """
import os
from authsvc.channel import own_pyro_settings
own_pyro_settings()
own_pyro_settings()
import Pyro5
from Pyro5 import serializers
assert not [name for name in os.environ if name.startswith("PYRO_")]
assert (Pyro5.config.SERIALIZER, Pyro5.config.MAX_MESSAGE_SIZE) == ("msgpack", 4 << 20)
assert not Pyro5.config.COMPRESSION and not Pyro5.config.LOGWIRE and not Pyro5.config.ITER_STREAMING
assert list(serializers.serializers) == ["msgpack"] and list(serializers.serializers_by_id) == [4]
"""
    done = run(code, PYRO_NOSUCH="1", PYRO_SERIALIZER="marshal", PYRO_COMPRESSION="1", PYRO_LOGWIRE="1")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["authsvc.channel", "authsvc.channel.client", "authsvc.credentials", "authsvc.tls"])
def test_importing_the_clients_side_leaves_pyro5_alone_and_cryptography_unloaded(name: str) -> None:
    code = f"""
import sys, {name}
heavy = [m for m in ("Pyro5", "cryptography", "OpenSSL") if m in sys.modules]
assert not heavy, heavy
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_importing_the_servers_side_leaves_pyro5_alone_too() -> None:
    code = """
import sys
from authsvc.channel import Acceptor, Caller, Connection, own_pyro_settings
assert "Pyro5" not in sys.modules
own_pyro_settings()
import authsvc.channel.session
"""
    done = run(code, PYRO_NOSUCH="1")
    assert done.returncode == 0, done.stderr


def test_a_library_tells_which_variables_are_in_the_way(pki: Pki, listening: Listening) -> None:
    code = f"""
import time
from authsvc.channel import Connection
from authsvc.credentials import Credential
from fdtcp.errors import FdtError
proxy = {pki.proxy.cert_path!r}
try:
    with Connection.open(*{listening.address!r}, credential=Credential(proxy, proxy), ca_dir={pki.certificates!r},
                         deadline=time.monotonic() + 10) as connection:
        connection.call("echo", {{"x": "y" * 500}}, 5)
except FdtError as exc:
    print(exc)
"""
    assert "remove the PYRO_ variables" in run(code, PYRO_NOSUCH="1").stdout
    assert "compressed" in run(code, PYRO_COMPRESSION="1").stdout
    harmless = run(code, PYRO_SERIALIZER="marshal", PYRO_DETAILED_TRACEBACK="1")
    assert (harmless.returncode, harmless.stdout) == (0, ""), harmless.stderr
