from __future__ import annotations

from pathlib import Path

from fdtcp.cli.dataset import SMALL_FILES, make_data_set
from fdtcp.units import MIB


def test_it_has_what_real_data_sets_have(tmp_path: Path) -> None:
    data = make_data_set(str(tmp_path), 32 * MIB)
    sizes = {name: (tmp_path / name).stat().st_size for name in (*data.names, *data.blank_names)}
    assert abs(data.size - 32 * MIB) < MIB
    assert sizes["empty"] == 0
    assert sum(name.startswith("small/") for name in data.names) == SMALL_FILES
    assert any(not name.isascii() for name in data.names)
    assert data.blank_names == ("a name with blanks.dat",)
    assert [name for name in data.names if (tmp_path / name).is_symlink()] == ["link-to-a-small-one"]
    assert sizes["large/0.dat"] > sizes["large/3.dat"] > MIB


def test_no_two_blocks_are_equal(tmp_path: Path) -> None:
    make_data_set(str(tmp_path), 32 * MIB)
    blocks = []
    for path in sorted((tmp_path / "large").iterdir()):
        content = path.read_bytes()
        blocks += [content[offset : offset + 4096] for offset in range(0, len(content) - 4096, MIB // 2)]
    assert len(set(blocks)) == len(blocks)


def test_it_stops_when_it_is_told_to(tmp_path: Path) -> None:
    data = make_data_set(str(tmp_path), MIB, lambda: True)
    assert data.size == 0
