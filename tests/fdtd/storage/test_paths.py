"""Which paths may be touched, and directories that are kept open."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.errors import PathRefused
from fdtd.storage import paths
from fdtd.storage.kernel import open_beneath
from fdtd.storage.paths import Directories, Directory, Prefixes, split_path


@pytest.fixture
def directories(tmp_path: Path) -> Iterator[Directories]:
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        found = Directories(prefixes)
        yield found
        found.close()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_slashes_and_dots_do_not_matter() -> None:
    assert split_path(b"//a///b/./c") == (b"a", b"b", b"c")


@pytest.mark.parametrize("path", [b"relative", b"", b"/a/../b", b"/..", b"/a\0b"])
def test_what_could_climb_is_refused(path: bytes) -> None:
    with pytest.raises(PathRefused):
        split_path(path)


def test_the_longest_prefix_wins_and_a_prefix_itself_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    roots = [os.fsencode(tmp_path / name) for name in ("a", "a/b", "missing", "link")]
    with Prefixes(roots) as prefixes:
        assert prefixes.locate(roots[1] + b"/c")[1] == (b"c",)
        assert prefixes.locate(roots[0] + b"/c/d")[1] == (b"c", b"d")
        # The prefix is the site's word, so a symlink there is followed; both spellings are the same place.
        assert prefixes.locate(roots[3] + b"/c")[1] == (b"c",)
        for path in (roots[0], roots[0] + b"x", os.fsencode(tmp_path) + b"/c", roots[2] + b"/c"):
            with pytest.raises(PathRefused):
                prefixes.locate(path)


def test_directories_are_made_and_remember_in_what(directories: Directories, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "new/deep/file")
    with pytest.raises(FileNotFoundError):
        directories.parent_of(path)
    directory, name = directories.parent_of(path, make=True)
    assert name == b"file" and (tmp_path / "new/deep").is_dir()
    owed = [directory.made_in is not None]
    directory.sync()
    directories.settle(directory)
    owed.append(directory.made_in is not None)
    assert owed == [True, False]
    directories.release(directory)


def test_the_nearest_directory_above_is_found(directories: Directories, tmp_path: Path) -> None:
    directory = directories.nearest_above(os.fsencode(tmp_path / "no/such/file"))
    assert os.fstat(directory.descriptor).st_ino == tmp_path.stat().st_ino
    directories.release(directory)


def test_idle_directories_are_closed_and_used_ones_are_not(
    directories: Directories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "MAX_IDLE_DIRECTORIES", 4)
    before = open_descriptors()
    (tmp_path / "used").mkdir()
    used, _ = directories.parent_of(os.fsencode(tmp_path / "used/file"))
    for number in range(20):
        (tmp_path / str(number)).mkdir()
        directory, _ = directories.parent_of(os.fsencode(tmp_path / str(number) / "file"))
        directories.release(directory)
    assert open_descriptors() - before <= 6
    os.fstat(used.descriptor)
    directories.release(used)


def test_a_path_that_ends_in_a_slash_does_not_change_what_others_mean(directories: Directories, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    above, name = directories.parent_of(os.fsencode(tmp_path / "d") + b"/")
    below, other = directories.parent_of(os.fsencode(tmp_path / "d/file"))
    assert (name, other) == (b"d", b"file")
    assert os.fstat(above.descriptor).st_ino == tmp_path.stat().st_ino
    assert os.fstat(below.descriptor).st_ino == (tmp_path / "d").stat().st_ino
    directories.release(above)
    directories.release(below)


def test_a_directory_that_hangs_holds_up_nobody_else(
    directories: Directories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, release = threading.Event(), threading.Event()

    def hang(top: int, path: bytes, flags: int) -> int:
        if path == b"dead":
            entered.set()
            assert release.wait(30)
        return open_beneath(top, path, flags)

    monkeypatch.setattr(paths, "open_beneath", hang)
    for name in ("dead", "good"):
        (tmp_path / name).mkdir()
    found: list[Directory] = []
    looker = threading.Thread(target=lambda: found.append(directories.parent_of(os.fsencode(tmp_path / "dead/x"))[0]))
    looker.start()
    assert entered.wait(30)
    directories.release(directories.parent_of(os.fsencode(tmp_path / "good/x"))[0])
    release.set()
    looker.join(30)
    directories.release(found[0])


def test_a_directory_that_hangs_while_it_is_made_holds_up_nobody_else(
    directories: Directories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, release = threading.Event(), threading.Event()
    mkdir = os.mkdir

    def hang(name: bytes, mode: int, *, dir_fd: int) -> None:
        mkdir(name, mode, dir_fd=dir_fd)
        if name == b"dead":
            entered.set()
            assert release.wait(30)

    monkeypatch.setattr(os, "mkdir", hang)
    found: list[Directory] = []

    def make() -> None:
        found.append(directories.parent_of(os.fsencode(tmp_path / "dead/x"), make=True)[0])

    def find() -> None:
        found.append(directories.parent_of(os.fsencode(tmp_path / "dead/x"))[0])

    threads = [threading.Thread(target=make), threading.Thread(target=make), threading.Thread(target=find)]
    threads[0].start()
    assert entered.wait(30)
    for thread in threads[1:]:
        thread.start()
    directories.release(directories.parent_of(os.fsencode(tmp_path / "good/x"), make=True)[0])
    release.set()
    for thread in threads:
        thread.join(30)
    # All have the one whose maker knows that its own name is not safe yet.
    assert len(found) == 3 and len(set(map(id, found))) == 1 and found[0].made_in is not None
    for directory in found:
        directories.release(directory)


def test_a_directory_that_cannot_be_made_leaves_nothing_open(directories: Directories, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = open_descriptors()
    for _ in range(2):
        with pytest.raises(NotADirectoryError):
            directories.parent_of(os.fsencode(tmp_path / "file/sub/x"), make=True)
    assert open_descriptors() - before <= 1


def test_a_removed_directory_is_found_anew_once_it_is_forgotten(directories: Directories, tmp_path: Path) -> None:
    before = open_descriptors()
    path = os.fsencode(tmp_path / "d/file")
    (tmp_path / "d").mkdir()
    old, _ = directories.parent_of(path)
    (tmp_path / "d").rmdir()
    (tmp_path / "d").mkdir()
    directories.forget(old)
    new, _ = directories.parent_of(path)
    assert os.fstat(new.descriptor).st_ino == (tmp_path / "d").stat().st_ino
    directories.release(old)
    directories.release(new)
    assert open_descriptors() - before <= 2


def test_a_directory_knows_whether_its_path_leads_to_it(directories: Directories, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    found, _ = directories.parent_of(os.fsencode(tmp_path / "d/file"))
    top, _ = directories.parent_of(os.fsencode(tmp_path / "file"))
    seen = [found.is_in_place()]
    (tmp_path / "d").rename(tmp_path / "e")
    seen.append(found.is_in_place())
    (tmp_path / "d").mkdir()
    seen.append(found.is_in_place())
    (tmp_path / "d").rmdir()
    (tmp_path / "e").rename(tmp_path / "d")
    seen.append(found.is_in_place())
    assert seen == [True, False, False, True] and top.is_in_place()
    for directory in (found, top):
        directories.release(directory)


def test_a_symlink_in_the_way_is_an_error(directories: Directories, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(OSError, match=r"."):
        directories.parent_of(os.fsencode(tmp_path / "link/file"), make=True)


def test_scopes_hold_for_where_a_path_leads_in_both_spellings_of_a_prefix(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    with Prefixes([os.fsencode(link)], [os.fsencode(link / "a"), os.fsencode(real / "b" / "file")]) as prefixes:
        for allowed in (link / "a", link / "a" / "x", real / "a" / "x", link / "b" / "file", real / "b" / "file"):
            prefixes.check_scope(os.fsencode(allowed))
        for refused in (link / "b" / "other", real / "ab", tmp_path / "elsewhere", link):
            with pytest.raises(PathRefused, match="bearer token"):
                prefixes.check_scope(os.fsencode(refused))
    with Prefixes([os.fsencode(real)]) as prefixes:
        prefixes.check_scope(os.fsencode(real / "anything"))
