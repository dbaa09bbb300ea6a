from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.bans import SETTLE_S, BanList, parse
from authsvc.errors import BadBanList, Banned

EVE = "/O=Grid/CN=Eve"
BOB = "/O=Grid/CN=Bob B"


def settle(path: Path) -> None:
    """Make the file look as if it had been left alone for a while."""
    long_ago = time.time() - SETTLE_S - 1
    os.utime(path, (long_ago, long_ago))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "banned"
    path.write_text(f"# in the hope of better days\n\n{EVE}\n")
    return path


def test_the_listed_are_banned_however_they_are_spelt(path: Path) -> None:
    path.write_text(f'"{BOB}/Email=b@x" # since May\n{EVE}\n')
    bans = BanList(str(path))
    for dn in (EVE, EVE.replace("Eve", "EVE"), f"{BOB}/emailAddress=b@x", f"{BOB}/E=b@x"):
        with pytest.raises(Banned, match="is banned from this site"):
            bans.check(dn)
    bans.check("/O=Grid/CN=Alice")
    bans.check("/O=Grid/CN=Eve2")


def test_without_a_list_nobody_is_banned() -> None:
    BanList("").check(EVE)


def test_a_ban_counts_at_once(path: Path) -> None:
    bans = BanList(str(path))
    bans.check(BOB)
    with path.open("a") as file:
        file.write(f"{BOB}\n")
    assert bans.is_banned(BOB)
    with pytest.raises(Banned):
        bans.check(BOB)


def test_a_ban_that_goes_counts_when_the_file_has_settled(path: Path) -> None:
    bans = BanList(str(path))
    path.write_text("")
    assert bans.is_banned(EVE), "an editor may be about to fill it"
    settle(path)
    assert not bans.is_banned(EVE)
    bans.check(EVE)


def spoil_quote(path: Path) -> None:
    path.write_text(f'{BOB}\n"/O=Grid/CN=Mallory\n')


def spoil_slash(path: Path) -> None:
    path.write_text(f"{BOB}\nO=Grid/CN=Mallory\n")


def spoil_bytes(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


def spoil_mode(path: Path) -> None:
    path.chmod(0o666)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("spoil", [spoil_quote, spoil_slash, spoil_bytes, spoil_mode, remove])
def test_while_the_list_cannot_be_read_nobody_new_is_let_in(
    spoil: object, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bans = BanList(str(path))
    assert callable(spoil)
    spoil(path)
    with caplog.at_level(logging.ERROR, "authsvc.bans"):
        for _ in range(3):
            with pytest.raises(BadBanList, match=f"{path}.*nobody new is let in until it is mended"):
                bans.check("/O=Grid/CN=Alice")
    assert len(caplog.records) == 1
    assert bans.is_banned(EVE), "what was known stays"
    assert not bans.is_banned("/O=Grid/CN=Alice"), "work that is under way goes on"
    path.unlink(missing_ok=True)
    path.write_text("")
    settle(path)
    bans.check(EVE)


def test_the_good_lines_of_a_bad_list_count(path: Path) -> None:
    bans = BanList(str(path))
    spoil_quote(path)
    assert bans.is_banned(BOB)
    with pytest.raises(Banned):
        bans.check(BOB)


@pytest.mark.parametrize("spoil", [spoil_quote, spoil_bytes, spoil_mode, remove])
def test_a_daemon_does_not_start_with_a_bad_list(spoil: object, path: Path) -> None:
    assert callable(spoil)
    spoil(path)
    with pytest.raises(BadBanList, match=str(path)):
        BanList(str(path))


@given(st.text() | st.lists(st.sampled_from([EVE, BOB, f'"{BOB}"', "#", '"', "x"])).map("\n".join))
def test_any_text_is_read_line_by_line(text: str) -> None:
    found, problems = parse(text)
    lines = [line.strip() for line in text.split("\n")]
    assert len(found) + len(problems) <= len([line for line in lines if line and not line.startswith("#")])
