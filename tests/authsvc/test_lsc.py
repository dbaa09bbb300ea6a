from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.lsc import VomsDir, parse

SERVER, CA, ROOT = "/DC=org/CN=voms.example.org", "/DC=org/CN=Example CA", "/CN=Root"
HOST = "voms.example.org"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "testvo" / f"{HOST}.lsc"
    path.parent.mkdir()
    path.write_text(f"# a VO\n{SERVER}\n{CA}\n\n------ NEXT CHAIN ------\n{SERVER.replace('voms', 'voms2')}\n{CA}\n")
    return path


@pytest.mark.parametrize(
    "chain", [(SERVER, CA, ROOT), (SERVER, CA), (SERVER.replace("voms", "VOMS2"), CA), (SERVER.lower(), CA)]
)
def test_the_servers_chain_is_expected(path: Path, chain: tuple[str, ...]) -> None:
    VomsDir(str(path.parent.parent)).check("testvo", HOST, chain)


@pytest.mark.parametrize("chain", [(SERVER, ROOT), (CA, SERVER), (SERVER,), (ROOT, CA), (SERVER + "x", CA)])
def test_another_chain_is_not(path: Path, chain: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="is not the server of the VO testvo"):
        VomsDir(str(path.parent.parent)).check("testvo", HOST, chain)


def test_a_change_counts_at_once(path: Path) -> None:
    voms_dir = VomsDir(str(path.parent.parent))
    voms_dir.check("testvo", HOST, (SERVER, CA))
    path.write_text(f"{SERVER}\n{ROOT}\n")
    with pytest.raises(ValueError, match="is not the server"):
        voms_dir.check("testvo", HOST, (SERVER, CA))
    path.unlink()
    with pytest.raises(ValueError, match="not known here"):
        voms_dir.check("testvo", HOST, (SERVER, CA))


@pytest.mark.parametrize("vo", ["..", ".", "", "../testvo", "testvo/../testvo", "/etc", "test\0vo"])
def test_a_vo_never_becomes_a_path(path: Path, vo: str) -> None:
    voms_dir = VomsDir(str(path.parent.parent))
    for names in ((vo, HOST), ("testvo", vo)):
        with pytest.raises(ValueError, match="no VO that could be configured"):
            voms_dir.check(*names, (SERVER, CA))


def test_what_anybody_can_change_counts_for_nothing(path: Path) -> None:
    voms_dir = VomsDir(str(path.parent.parent))
    for spoilt, mode in ((path, 0o644), (path.parent, 0o755), (path.parent.parent, 0o755)):
        spoilt.chmod(0o777)
        with pytest.raises(ValueError, match="anybody can change"):
            voms_dir.check("testvo", HOST, (SERVER, CA))
        spoilt.chmod(mode)
    voms_dir.check("testvo", HOST, (SERVER, CA))


@pytest.mark.parametrize("text", ["", f"{SERVER}\n", f"{SERVER}\n{CA}\n---\n{SERVER}\n", "voms\n", f"{SERVER}\nCN=x\n"])
def test_a_bad_file_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{path}: "):
        VomsDir(str(path.parent.parent)).check("testvo", HOST, (SERVER, CA))


@given(st.binary() | st.lists(st.sampled_from([SERVER, CA, "---", "#", "x"])).map(lambda ls: "\n".join(ls).encode()))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        chains = parse(content)
    except ValueError:
        return
    assert all(len(chain) >= 2 for chain in chains)
