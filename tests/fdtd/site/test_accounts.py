"""Which account a caller gets."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any  # an identity is what has a DN

import pytest

from authsvc.errors import AccountRefused, NotMapped
from fdtcp.errors import BadSettings
from fdtd.site.accounts import Accounts, check_mode, own_account
from fdtd.site.config import AccountSettings, Settings, load_config

DN = "/O=lab/CN=Alice"
ALICE: Any = SimpleNamespace(dn=DN, fqans=())  # Any: see above


def configured(tmp_path: Path, mapping: str, **accounts: Any) -> Settings:  # Any: fields of AccountSettings
    (tmp_path / "map").write_text(mapping)
    settings = load_config("")
    return replace(
        settings,
        security=replace(settings.security, gridmap=str(tmp_path / "map")),
        accounts=replace(AccountSettings("same", 1000, True, "/bin/true", "/bin/true"), **accounts),
        service=replace(settings.service, listen=(("127.0.0.1", 0),)),
    )


def test_in_mode_same_the_map_authorises_for_the_daemons_account(tmp_path: Path) -> None:
    accounts = Accounts(configured(tmp_path, f'"{DN}" {own_account()}\n'))
    assert accounts.authorise(ALICE, None) == own_account()
    assert accounts.authorise(ALICE, own_account()) == own_account()
    with pytest.raises(NotMapped):
        accounts.authorise(ALICE, "bob")
    with pytest.raises(NotMapped):
        accounts.authorise(SimpleNamespace(dn="/CN=eve", fqans=()), None)  # type: ignore[arg-type]  # see ALICE


def test_in_mode_same_another_account_is_refused_and_the_own_one_is_found_among_several(tmp_path: Path) -> None:
    with pytest.raises(AccountRefused):
        Accounts(configured(tmp_path, f'"{DN}" nobody\n')).authorise(ALICE, None)
    several = Accounts(configured(tmp_path, f'"{DN}" nobody,{own_account()}\n'))
    assert several.authorise(ALICE, None) == own_account()
    with pytest.raises(AccountRefused):
        several.authorise(ALICE, "nobody")


def test_where_the_account_changes_the_floor_holds_whatever_the_map_says(tmp_path: Path) -> None:
    for name in ("root", "daemon", "nosuchaccount"):
        with pytest.raises(AccountRefused):
            Accounts(configured(tmp_path, f'"{DN}" {name}\n', mode="root")).authorise(ALICE, None)
    assert Accounts(configured(tmp_path, f'"{DN}" nobody\n', mode="root")).authorise(ALICE, None) == "nobody"


@pytest.mark.root
def test_movers_run_as_root_only_in_demonstrations(tmp_path: Path) -> None:
    check_mode(configured(tmp_path, ""))
    with pytest.raises(BadSettings, match="allow_root_self = yes"):
        check_mode(configured(tmp_path, "", allow_root_self=False))
    settings = configured(tmp_path, "")
    public = replace(settings, service=replace(settings.service, listen=(("127.0.0.1", 0), ("192.0.2.1", 0))))
    with pytest.raises(BadSettings, match="loopback"):
        check_mode(public)


@pytest.mark.root
def test_root_needs_no_sudo(tmp_path: Path) -> None:
    check_mode(configured(tmp_path, "", mode="root"))
    with pytest.raises(BadSettings, match="sudo"):
        check_mode(configured(tmp_path, "", mode="sudo"))


def test_an_ordinary_account_needs_sudo_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert own_account() == "12345"
    check_mode(configured(tmp_path, "", mode="sudo"))
    check_mode(configured(tmp_path, "", mode="same", allow_root_self=False))
    with pytest.raises(BadSettings, match="launcher"):
        check_mode(configured(tmp_path, "", mode="sudo", launcher="/nonexistent"))
    with pytest.raises(BadSettings, match="mode: root"):
        check_mode(configured(tmp_path, "", mode="root"))
