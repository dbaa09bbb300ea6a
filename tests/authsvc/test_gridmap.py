from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import BadGridmap
from authsvc.gridmap import Gridmap, GridmapFile


def accounts(line: str, dn: str) -> tuple[str, ...]:
    found, problems = Gridmap.parse(line)
    assert not problems
    return found.accounts_of(dn)


@pytest.mark.parametrize(
    ("line", "dn", "expected"),
    [
        ('"/O=Grid/CN=Some Body" alice', "/O=Grid/CN=Some Body", ("alice",)),
        ('"/O=Grid/CN=Some Body" alice,atlas', "/O=Grid/CN=Some Body", ("alice", "atlas")),
        ('"/O=Grid/CN=Some Body"   alice , atlas  ', "/O=Grid/CN=Some Body", ("alice", "atlas")),
        ('"/O=Grid/CN=Some Body"\talice\r', "/O=Grid/CN=Some Body", ("alice",)),
        ('"/O=Grid/CN=Some Body" alice # a comment', "/O=Grid/CN=Some Body", ("alice",)),
        ("/O=Grid/CN=nobody nobody", "/O=Grid/CN=nobody", ("nobody",)),
        ('"/O=GRID/cn=SOME body" alice', "/O=Grid/CN=Some Body", ("alice",)),
        ('"/CN=x/Email=a@b" alice', "/CN=x/emailAddress=a@b", ("alice",)),
        ('"/CN=x/E=a@b" alice', "/CN=x/emailAddress=a@b", ("alice",)),
        ('"/CN=x/USERID=u" alice', "/CN=x/UID=u", ("alice",)),
        (r'"/CN=a \"b\" c" alice', '/CN=a "b" c', ("alice",)),
        (r'"/CN=host\/a.b" alice', "/CN=host/a.b", ("alice",)),
        (r'"/CN=back\\slash" alice', "/CN=back\\slash", ("alice",)),
        (r'"/CN=Zo\xC3\xAB" alice', "/CN=Zoë", ("alice",)),
        ('"/CN=Zoë" alice', "/CN=Zoë", ("alice",)),
        ("# a comment\n\n   \n/CN=x alice", "/CN=x", ("alice",)),
        ('"/CN=a  b" alice', "/CN=a b", ()),
        ("/CN=x alice\n/CN=x mallory", "/CN=x", ("alice",)),
        ("/CN=x alice\n/cn=X mallory", "/CN=x", ("alice",)),
    ],
)
def test_lines_are_read_as_globus_reads_them(line: str, dn: str, expected: tuple[str, ...]) -> None:
    assert accounts(line, dn) == expected


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('"/CN=x alice', "quote is not closed"),
        ('"/CN=x\\" alice', "quote is not closed"),
        ('"/CN=x"', "no account"),
        ("/CN=x", "no account"),
        ("/O=Grid/CN=Some Body alice", "needs quotes"),
        ('"CN=x" alice', "begin with a slash"),
        ("alice", "begin with a slash"),
        ('"/CN=x" .atlas', "not an account name"),
        ('"/CN=x" alice,', "not an account name"),
        ('"/CN=x" -rf', "not an account name"),
        ('"/CN=x" ../../etc', "not an account name"),
        ('"/CN=x" a;reboot', "not an account name"),
        (r'"/CN=\xFF" alice', "not UTF-8"),
        ('"/CN=x" a\rlice', "control characters"),
    ],
)
def test_a_bad_line_is_named_by_its_number_and_skipped(line: str, why: str) -> None:
    found, problems = Gridmap.parse(f"/CN=before alice\n{line}\n/CN=after bob\n")
    assert len(problems) == 1
    assert problems[0].startswith("line 2: ")
    assert why in problems[0]
    assert found.accounts_of("/CN=before") == ("alice",)
    assert found.accounts_of("/CN=after") == ("bob",)
    assert len(found) == 2


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    Gridmap.parse(text)


@given(st.text(min_size=1).filter(lambda t: t.isprintable() and "/" not in t and "=" not in t))
def test_every_printable_name_can_be_mapped(name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    assert accounts(f'"/CN={quoted}" alice', f"/CN={name}") == ("alice",)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "grid-mapfile"
    path.write_text("/CN=x alice\n")
    return path


def test_a_change_counts_at_once(path: Path) -> None:
    gridmap = GridmapFile(str(path))
    assert gridmap.accounts_of("/CN=x") == ("alice",)
    path.write_text("/CN=x bob\n/CN=y carol\n")
    assert gridmap.accounts_of("/CN=x") == ("bob",)
    replacement = path.with_name("new")
    replacement.write_text("/CN=y dave\n")
    replacement.replace(path)
    assert gridmap.accounts_of("/CN=x") == ()
    assert gridmap.accounts_of("/CN=y") == ("dave",)


def test_a_file_of_comments_is_a_good_map_of_nobody(path: Path) -> None:
    gridmap = GridmapFile(str(path))
    path.write_text("# everybody has left\n")
    assert gridmap.accounts_of("/CN=x") == ()


@pytest.mark.parametrize("content", [b"", b'/CN=x alice\n"/CN=y', b"/CN=x alice\n/CN=y", b"\xff\xfe", b"a\0b\n"])
def test_a_half_written_file_keeps_the_last_good_map_and_says_so_once(
    content: bytes, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gridmap = GridmapFile(str(path))
    path.write_bytes(content)
    # An hour ago: nobody is writing it any more.
    os.utime(path, (1e9, 1e9))
    with caplog.at_level(logging.WARNING, "authsvc.mapfile"):
        assert gridmap.accounts_of("/CN=x") == ("alice",)
        assert gridmap.accounts_of("/CN=x") == ("alice",)
    assert caplog.text.count("the last good map with 1 names stays in use") == 1
    path.write_text("/CN=x bob\n")
    assert gridmap.accounts_of("/CN=x") == ("bob",)


def test_a_last_line_that_is_just_being_written_is_waited_for(path: Path) -> None:
    gridmap = GridmapFile(str(path))
    path.write_text("/CN=x al")
    assert gridmap.accounts_of("/CN=x") == ("alice",)
    path.write_text("/CN=x alan\n")
    assert gridmap.accounts_of("/CN=x") == ("alan",)


def test_a_last_line_without_its_end_is_taken_when_the_file_has_settled(path: Path) -> None:
    gridmap = GridmapFile(str(path))
    path.write_text("/CN=x bob")
    os.utime(path, (1e9, 1e9))
    assert gridmap.accounts_of("/CN=x") == ("bob",)


def test_a_vanished_file_keeps_the_last_good_map(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gridmap = GridmapFile(str(path))
    path.unlink()
    assert gridmap.accounts_of("/CN=x") == ("alice",)
    assert "No such file" in caplog.text


def test_a_map_that_anybody_can_change_is_refused(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gridmap = GridmapFile(str(path))
    path.write_text("/CN=x mallory\n")
    path.chmod(0o666)
    assert gridmap.accounts_of("/CN=x") == ("alice",)
    assert "can be changed by anybody" in caplog.text
    with pytest.raises(BadGridmap, match="can be changed by anybody"):
        GridmapFile(str(path))
    path.chmod(0o644)
    assert gridmap.accounts_of("/CN=x") == ("mallory",)


def test_bad_lines_are_logged_with_file_and_number(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_text("/CN=x alice\nnonsense\n")
    GridmapFile(str(path))
    assert f"{path}, line 2" in caplog.text


def test_without_a_map_a_daemon_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(BadGridmap, match="No such file"):
        GridmapFile(str(tmp_path / "none"))
