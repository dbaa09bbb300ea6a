from __future__ import annotations

from pathlib import Path

import pytest

from authsvc.accountmap import AccountMap
from authsvc.errors import BadGridmap
from authsvc.service import Asked

DN = "/CN=Alice"


@pytest.fixture
def paths(tmp_path: Path) -> tuple[str, str]:
    gridmap, fqanmap = tmp_path / "grid", tmp_path / "fqan"
    gridmap.write_text(f"{DN} alice,prod\n")
    fqanmap.write_text("/cms/Role=production prod,more\n/cms cms\n")
    return str(gridmap), str(fqanmap)


def test_a_dn_wins_over_its_vo_and_both_may_be_asked_for(paths: tuple[str, str]) -> None:
    accounts = AccountMap(*paths)
    assert accounts.accounts_of(Asked(DN, ("/cms/Role=production", "/cms"))) == ("alice", "prod", "more", "cms")
    assert accounts.accounts_of(Asked("/CN=Bob", ("/cms/Role=production",))) == ("prod", "more")
    assert accounts.accounts_of(Asked("/CN=Bob", ("/atlas",))) == ()
    assert accounts.name == "the grid-mapfile or the FQAN map"


def test_without_an_fqan_map_fqans_do_not_count(paths: tuple[str, str]) -> None:
    accounts = AccountMap(paths[0])
    assert accounts.accounts_of(Asked("/CN=Bob", ("/cms",))) == ()
    assert accounts.accounts_of(Asked(DN, ("/cms",))) == ("alice", "prod")
    assert accounts.name == "the grid-mapfile"


def test_a_missing_map_keeps_from_starting(paths: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(BadGridmap, match="FQAN map"):
        AccountMap(paths[0], str(tmp_path / "none"))
