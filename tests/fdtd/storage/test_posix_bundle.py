"""Files without a name, and where that is not possible."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.errors import DestinationBlocked
from fdtd.storage import kernel
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_bundle import PosixBundle
from fdtd.storage.posix_destination import PosixDestinations

CONTENT = memoryview(b"content")


@pytest.fixture
def destinations(tmp_path: Path) -> Iterator[PosixDestinations]:
    (tmp_path / "to").mkdir()
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        made = PosixDestinations(prefixes)
        yield made
        made.close()


@pytest.fixture
def bundle(destinations: PosixDestinations) -> Iterator[PosixBundle]:
    made = destinations.bundle()
    yield made
    made.close()


def write(bundle: PosixBundle, path: Path | str, mode: int = 0o640) -> bool:
    return bundle.write(os.fsencode(path), mode, 5, CONTENT)


def test_files_have_their_names_when_they_are_published_and_not_before(bundle: PosixBundle, tmp_path: Path) -> None:
    paths = [tmp_path / "to/a", tmp_path / "new/sub/b", tmp_path / "to/c"]
    assert all(write(bundle, path) for path in paths)
    assert not os.listdir(tmp_path / "to") and not os.listdir(tmp_path / "new/sub")
    assert bundle.publish() == {}
    bundle.settle()
    for path in paths:
        assert path.read_bytes() == CONTENT
        assert (path.stat().st_mode & 0o7777, path.stat().st_mtime_ns, path.stat().st_nlink) == (0o640, 5, 1)


def test_nothing_is_left_of_what_was_not_published(bundle: PosixBundle, tmp_path: Path) -> None:
    assert write(bundle, tmp_path / "to/a") and write(bundle, tmp_path / "to/b")
    bundle.drop(0)
    assert bundle.publish() == {}
    assert os.listdir(tmp_path / "to") == ["b"]


def test_nothing_is_replaced(bundle: PosixBundle, tmp_path: Path) -> None:
    names = ["file", "link", "directory"]
    assert all(write(bundle, tmp_path / "to" / name) for name in (*names, "free"))
    (tmp_path / "to/file").write_bytes(b"mine")
    (tmp_path / "to/link").symlink_to("nowhere")
    (tmp_path / "to/directory").mkdir()
    errors = bundle.publish()
    assert {number: error.code for number, error in errors.items()} == dict.fromkeys(range(3), "destination-exists")
    assert (tmp_path / "to/file").read_bytes() == b"mine" and not (tmp_path / "to/nowhere").exists()
    assert (tmp_path / "to/free").read_bytes() == CONTENT


def test_what_is_retracted_is_gone_and_nothing_of_others(bundle: PosixBundle, tmp_path: Path) -> None:
    (tmp_path / "to/there").write_bytes(b"mine")
    names = ["mine", "there", "gone", "replaced"]
    assert all(write(bundle, tmp_path / "to" / name) for name in names)
    assert set(bundle.publish()) == {1}
    (tmp_path / "to/gone").unlink()
    (tmp_path / "to/replaced").unlink()
    (tmp_path / "to/replaced").write_bytes(b"another's")
    bundle.retract()
    assert set(os.listdir(tmp_path / "to")) == {"there", "replaced"}


def test_a_directory_that_vanishes_is_said_so(bundle: PosixBundle, tmp_path: Path) -> None:
    assert write(bundle, tmp_path / "to/a")
    (tmp_path / "to").rmdir()
    assert bundle.publish()[0].code == "destination-vanished"
    assert not write(bundle, tmp_path / "to/b"), "claiming makes the directory anew"


@pytest.mark.parametrize("name", ["", ".", "..", "nul\0byte"])
def test_what_is_no_name_is_left_to_who_knows_what_to_say(bundle: PosixBundle, tmp_path: Path, name: str) -> None:
    assert write(bundle, tmp_path / "to/a")
    assert not write(bundle, f"{tmp_path}/to/{name}")


def test_no_path_leads_out(bundle: PosixBundle, tmp_path: Path) -> None:
    (tmp_path / "to/up").symlink_to("/tmp")  # somewhere else
    assert not write(bundle, tmp_path / "to/up/file")
    assert not write(bundle, f"{tmp_path}/to/../../file")
    assert not write(bundle, "/elsewhere/file")


def test_a_mask_takes_nothing_of_the_mode(bundle: PosixBundle, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        assert all(write(bundle, tmp_path / "to" / str(mode), mode) for mode in (0o644, 0o600, 0o664))
        assert write(bundle, tmp_path / "to/again", 0o644)
    finally:
        os.umask(before)
    bundle.publish()
    modes = {path.name: path.stat().st_mode & 0o7777 for path in (tmp_path / "to").iterdir()}
    assert modes == {str(0o644): 0o644, str(0o600): 0o600, str(0o664): 0o664, "again": 0o644}


@pytest.mark.parametrize("mode", [1 << 40, -1, 0o7777])
def test_no_mode_of_another_host_is_too_odd(bundle: PosixBundle, tmp_path: Path, mode: int) -> None:
    assert write(bundle, tmp_path / "to/a", mode)
    bundle.publish()
    assert (tmp_path / "to/a").stat().st_mode & 0o7777 == mode & 0o777


def test_a_bundle_is_of_one_volume(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:  # another file system
        if os.stat(other).st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is only one file system")
        with Prefixes([os.fsencode(tmp_path), os.fsencode(other)]) as prefixes:
            destinations = PosixDestinations(prefixes)
            bundles = destinations.bundle(), destinations.bundle()
            assert write(bundles[0], tmp_path / "a") and not write(bundles[0], f"{other}/a")
            assert write(bundles[1], f"{other}/a") and not write(bundles[1], tmp_path / "a")
            assert bundles[0].volume is not bundles[1].volume
            for bundle in bundles:
                bundle.publish()
                bundle.close()
            destinations.close()
        assert os.listdir(other) == os.listdir(tmp_path) == ["a"]


def test_an_older_kernel_names_files_through_proc(
    bundle: PosixBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "_AT_EMPTY_PATH", 0)
    assert write(bundle, tmp_path / "to/a")
    assert bundle.publish() == {}
    assert (tmp_path / "to/a").read_bytes() == CONTENT


def test_files_whose_directory_was_moved_away_are_taken_away_again(
    destinations: PosixDestinations, bundle: PosixBundle, tmp_path: Path
) -> None:
    assert all(write(bundle, tmp_path / name) for name in ("to/a", "other/b", "to/c"))
    bundle.drop(2)
    (tmp_path / "to").rename(tmp_path / "aside")
    (tmp_path / "to").symlink_to("aside")
    assert bundle.publish() == {}
    seen: dict[object, bool] = {}
    assert {number: error.code for number, error in bundle.take_misplaced(seen).items()} == {0: "destination-vanished"}
    assert sorted(seen.values()) == [False, True, True], "two directories and their prefix"
    assert not os.listdir(tmp_path / "aside") and os.listdir(tmp_path / "other") == ["b"]
    with pytest.raises(DestinationBlocked):
        destinations.look(os.fsencode(tmp_path / "to/a"))
