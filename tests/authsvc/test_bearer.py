from __future__ import annotations

import os
from pathlib import Path

import pytest

from authsvc.bearer import DISCOVER, find_token
from authsvc.errors import BadToken

TOKEN = "aGVhZA.Ym9keQ.c2ln"
UID = os.geteuid()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text(f"  {TOKEN}\n")
    return path


def test_a_named_file_wins(file: Path) -> None:
    assert find_token(str(file), {"BEARER_TOKEN": "x.y.z"}, UID) == TOKEN


def test_discovery_goes_by_its_order(file: Path, tmp_path: Path) -> None:
    (tmp_path / f"bt_u{UID}").touch(0o600)
    (tmp_path / f"bt_u{UID}").write_text("r.u.n")
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert find_token(DISCOVER, environ, UID) == "r.u.n"
    environ["BEARER_TOKEN_FILE"] = str(file)
    assert find_token(DISCOVER, environ, UID) == TOKEN
    environ["BEARER_TOKEN"] = " e.n.v\n"
    assert find_token(DISCOVER, environ, UID) == "e.n.v"


def test_where_nothing_is_found_it_says_where_it_looked() -> None:
    with pytest.raises(BadToken, match="bt_u4294967294"):
        find_token(DISCOVER, {}, 4294967294)


def test_what_others_could_read_or_have_put_there_is_refused(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    with pytest.raises(BadToken, match="cannot read"):
        find_token(str(link), {}, UID)
    with pytest.raises(BadToken, match="directory"):
        find_token(str(tmp_path), {}, UID)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadToken, match="not a regular file"):
        find_token(str(tmp_path / "pipe"), {}, UID)
    file.chmod(0o640)
    with pytest.raises(BadToken, match="chmod 600"):
        find_token(str(file), {}, UID)
    with pytest.raises(BadToken, match="cannot read"):
        find_token(str(tmp_path / "none"), {}, UID)


@pytest.mark.parametrize("text", ["", "word", "a.b", "a.b.c.d", "a.b.c\r\nX: y", "a.b.ë", "a" * 20000 + ".b.c"])
def test_what_is_no_token_is_not_sent(text: str) -> None:
    with pytest.raises(BadToken):
        find_token(DISCOVER, {"BEARER_TOKEN": text, "BEARER_TOKEN_FILE": "/nonexistent"}, UID)
