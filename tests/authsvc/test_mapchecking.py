from __future__ import annotations

from pathlib import Path

from authsvc.findings import Level
from authsvc.mapchecking import check_fqanmap, check_gridmap


def test_a_map_is_told_by_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "map"
    path.write_text('"/CN=a" nobody\nnonsense\n/CN=b root,nobody\n/cn=A daemon\n/CN=c no-such-account\n')
    found = list(check_gridmap(str(path), 1000))
    assert {finding.subject for finding in found} == {"map"}
    texts = [finding.text for finding in found if finding.level is Level.WARNING]
    assert [text.removeprefix(str(path)).partition(":")[0] for text in texts] == [
        ", line 2",
        ", line 4",
        ", line 3",
        ", line 4",
        ", line 5",
    ]
    assert "line 1 wins for '/cn=A'" in texts[1]
    assert "root" in texts[2]
    assert "system account" in texts[3]
    assert "no account 'no-such-account'" in texts[4]
    assert f"{path} maps 3 names" in [finding.text for finding in found if finding.level is Level.OK]
    assert len([one for one in check_gridmap(str(path), None) if one.level is Level.WARNING]) == 2


def test_an_fqan_map_is_read_by_its_own_rules(tmp_path: Path) -> None:
    path = tmp_path / "map"
    path.write_text("/cms nobody\n/cms/Role=NULL nobody\n/* nobody\n")
    texts = [finding.text for finding in check_fqanmap(str(path), None) if finding.level is Level.WARNING]
    assert len(texts) == 2
    assert "line 3" in texts[0]
    assert "line 1 wins" in texts[1]


def test_many_bad_lines_are_counted_and_a_missing_file_is_critical(tmp_path: Path) -> None:
    path = tmp_path / "map"
    path.write_text("nonsense\n" * 100)
    texts = [finding.text for finding in check_gridmap(str(path), None) if finding.level is Level.WARNING]
    assert len(texts) == 21
    assert "80 more bad lines" in texts[-1]
    assert [one.level for one in check_gridmap(str(tmp_path / "none"), None)] == [Level.CRITICAL]
