"""From a URL to a store."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys

import pytest

from fdtcp.errors import StorageUnavailable
from fdtd.storage.opening import open_store


def test_credentials_are_looked_for_in_the_accounts_home(monkeypatch: pytest.MonkeyPatch) -> None:
    home = pwd.getpwuid(os.geteuid()).pw_dir
    monkeypatch.setenv("HOME", "/")
    open_store("memory://").close()
    assert os.environ["HOME"] == home


@pytest.mark.parametrize(("backend", "module"), [("s3://bucket/", "s3fs"), ("webhdfs://nn/", "fsspec")])
def test_a_storage_without_its_software_says_what_to_do(
    backend: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StorageUnavailable, match=r"fdtcp\[fsspec\]"):
        open_store(backend)


def test_a_mover_of_plain_files_loads_nothing_of_it() -> None:
    program = (
        "import sys; import fdtd.mover.program, fdtd.mover.reader, fdtd.mover.writer;"
        "print([name for name in sys.modules if name.partition('.')[0] in ('fsspec', 's3fs', 'requests', 'asyncio')"
        " or name in ('fdtd.storage.opening', 'fdtd.storage.sequential', 'fdtd.storage.stored_source')])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
