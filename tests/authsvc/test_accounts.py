from __future__ import annotations

import pwd

import pytest

from authsvc.accounts import choose_account, local_account
from authsvc.errors import AccountRefused, NotMapped


def test_the_first_account_is_the_default() -> None:
    assert choose_account("/CN=x", ("alice", "atlas"), None) == "alice"


def test_a_listed_account_may_be_asked_for() -> None:
    assert choose_account("/CN=x", ("alice", "atlas"), "atlas") == "atlas"


def test_an_account_that_is_not_listed_is_refused_without_telling_the_others() -> None:
    with pytest.raises(NotMapped) as refused:
        choose_account("/CN=x", ("alice", "atlas"), "root")
    assert "alice" not in str(refused.value)


def test_an_empty_map_names_the_dn() -> None:
    with pytest.raises(NotMapped, match="/CN=x is not in the grid-mapfile"):
        choose_account("/CN=x", (), None)


@pytest.mark.parametrize("name", ["root", "daemon", "no-such-account", "", "a\0b", "../root"])
def test_root_system_accounts_and_unknown_ones_are_refused(name: str) -> None:
    with pytest.raises(AccountRefused):
        local_account(name)


def test_root_under_another_name_or_group_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for uid, gid in ((0, 1000), (5000, 0)):
        entry = pwd.struct_passwd(("toor", "x", uid, gid, "", "/", "/bin/sh"))
        monkeypatch.setattr(pwd, "getpwnam", lambda _name, entry=entry: entry)
        with pytest.raises(AccountRefused, match="is root's"):
            local_account("toor")


def test_an_ordinary_account_is_returned_and_the_floor_can_be_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.struct_passwd(("alice", "x", 500, 500, "", "/home/alice", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwnam", lambda _name: entry)
    with pytest.raises(AccountRefused, match="below 1000"):
        local_account("alice")
    assert local_account("alice", 500).pw_uid == 500
