"""In processes of their own: the settings belong to a whole process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


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
