from __future__ import annotations

import os
from pathlib import Path

import pytest

from authsvc.errors import BadTrust
from authsvc.trust import DEFAULT_CA_DIR, check_ca_dir, find_ca_dir, state_of
from tests.helpers.pki import Pki


def test_the_argument_comes_before_the_environment_before_the_default() -> None:
    assert find_ca_dir("/a", {"X509_CERT_DIR": "/b"}) == "/a"
    assert find_ca_dir(None, {"X509_CERT_DIR": "/b"}) == "/b"
    assert find_ca_dir(None, {}) == DEFAULT_CA_DIR


def test_a_directory_with_a_ca_passes(pki: Pki) -> None:
    check_ca_dir(pki.certificates)


def test_a_missing_or_empty_directory_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "README").touch()
    with pytest.raises(BadTrust, match=f"{tmp_path} holds none"):
        check_ca_dir(str(tmp_path))
    with pytest.raises(BadTrust, match="No such file"):
        check_ca_dir(str(tmp_path / "none"))


def test_a_directory_that_anybody_can_change_is_refused(tmp_path: Path) -> None:
    (tmp_path / "12345678.0").touch()
    tmp_path.chmod(0o777)
    with pytest.raises(BadTrust, match="anybody can add CAs") as refused:
        check_ca_dir(str(tmp_path))
    tmp_path.chmod(0o755)
    assert refused.value.remedy == f"chmod o-w {tmp_path}"
    check_ca_dir(str(tmp_path))


def test_the_state_changes_when_a_file_comes(tmp_path: Path) -> None:
    os.utime(tmp_path, (1e9, 1e9))
    before = state_of(str(tmp_path))
    (tmp_path / "12345678.0").touch()
    assert state_of(str(tmp_path)) != before
    with pytest.raises(BadTrust):
        state_of(str(tmp_path / "none"))
