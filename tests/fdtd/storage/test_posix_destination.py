"""What is special about destinations on a POSIX file system; the rest is in tests/contract."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.errors import DestinationBlocked, DestinationBusy, PathRefused
from fdtd.storage.base import Site
from fdtd.storage.names import journal_name, partial_name
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_destination import PosixDestinations


@pytest.fixture
def destinations(tmp_path: Path) -> Iterator[PosixDestinations]:
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        found = PosixDestinations(prefixes, 0o750)
        yield found
        found.close()


def test_a_trap_under_the_temporary_name_is_not_written_to(destinations: PosixDestinations, tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"mine")
    trap = tmp_path / os.fsdecode(partial_name(b"target"))
    os.link(tmp_path / "precious", trap)
    with pytest.raises(DestinationBlocked):
        destinations.claim(os.fsencode(tmp_path / "target"), 0o600, journal=True)
    trap.unlink()
    trap.symlink_to("precious")
    with pytest.raises(DestinationBlocked):
        destinations.claim(os.fsencode(tmp_path / "target"), 0o600, journal=True)
    assert (tmp_path / "precious").read_bytes() == b"mine"


def test_directories_are_made_with_the_mode_of_the_account(destinations: PosixDestinations, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        partial = destinations.claim(os.fsencode(tmp_path / "a/b/file"), 0o600, journal=False)
    finally:
        os.umask(before)
    partial.remove()
    partial.close()
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o750


def test_a_directory_that_vanished_is_made_again(destinations: PosixDestinations, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "d/file")
    partial = destinations.claim(path, 0o600, journal=False)
    partial.remove()
    partial.close()
    (tmp_path / "d").rmdir()
    partial = destinations.claim(path, 0o600, journal=False)
    partial.publish(replace=False)
    partial.close()
    assert (tmp_path / "d/file").exists()


def test_an_orphaned_journal_is_removed_when_somebody_looks(destinations: PosixDestinations, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "file")
    partial = destinations.claim(path, 0o600, journal=True)
    partial.append_journal(b"x")
    Path(os.fsdecode(partial.path)).unlink()
    partial.close()
    assert len(os.listdir(tmp_path)) == 1
    assert destinations.claim_left(path) is None
    assert not os.listdir(tmp_path)


def test_a_directory_that_was_missing_is_looked_at_anew_once_it_was_made(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "new" / "file")
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        destinations = PosixDestinations(prefixes)
        assert destinations.look(path).bare and destinations.look(path).bare
        partial = destinations.claim(path, 0o600, journal=False)
        site = destinations.look(path)
        assert not site.bare and site.existing is None
        partial.publish(replace=False)
        assert destinations.look(path).existing is not None
        partial.close()
        destinations.close()


@pytest.mark.root
@pytest.mark.parametrize("mode", [0o444, 0o400, 0o000, 0o111, 0o200])
def test_a_partial_that_was_killed_with_its_final_mode_is_claimed_again(tmp_path: Path, mode: int) -> None:
    """Root never notices: it may write to everything."""
    path = os.fsencode(tmp_path / "file")
    with Prefixes([os.fsencode(tmp_path)]) as prefixes:
        os.chown(tmp_path, 65534, 65534)
        first, second = PosixDestinations(prefixes), PosixDestinations(prefixes)
        os.seteuid(65534)
        try:
            live = first.claim(path, 0o600, journal=False)
            live.dress(mode, 5)
            with pytest.raises(DestinationBusy):
                second.claim_left(path)
            assert live.facts().mode == mode, "a live one keeps its mode"
            live.close()
            left = second.claim_left(path)
            assert left is not None
            left.write(memoryview(b"x"), 0)
            left.dress(mode, 5)
            left.close()
            again = second.claim(path, mode, journal=True)
            again.write(memoryview(b"x"), 0)
            again.remove()
            again.close()
        finally:
            os.seteuid(0)
        first.close()
        second.close()
    assert not os.listdir(tmp_path)


def test_a_survey_spares_looks_at_what_is_not_there_and_no_others(
    destinations: PosixDestinations, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("missing")
    (tmp_path / os.fsdecode(partial_name(b"partial"))).touch()
    (tmp_path / os.fsdecode(journal_name(b"journal"))).touch()
    odd = [b"", b".", b"..", b"x" * 256, partial_name(b"any")]
    there = [b"file", b"directory", b"link", b"partial", b"journal"]
    for directory, others in ((tmp_path, {*odd, *there}), (tmp_path / "new", set(odd))):
        survey = destinations.survey(os.fsencode(directory), [*odd, *there, b"nothing"])
        assert survey is not None
        assert survey.others == others
        assert survey.site.bare and survey.site.existing is None
        look = destinations.look(os.fsencode(directory / "nothing"))
        assert (survey.site.device, survey.site.gives_back) == (look.device, look.gives_back)


def test_what_is_claimed_is_not_spared(destinations: PosixDestinations, tmp_path: Path) -> None:
    above, path = os.fsencode(tmp_path), os.fsencode(tmp_path / "file")
    before = destinations.survey(above, [b"file"] * 9)
    partial = destinations.claim(path, 0o600, journal=False)
    after = destinations.survey(above, [b"file"] * 9)
    partial.remove()
    partial.close()
    assert before is not None and not before.others
    assert after is not None and after.others == {b"file"}


def test_a_survey_of_what_may_not_be_looked_at_is_an_error(destinations: PosixDestinations, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PathRefused):
        destinations.survey(b"/somewhere", [b"file"])
    with pytest.raises(DestinationBlocked):
        destinations.survey(os.fsencode(tmp_path / "file"), [b"file"])


class Names(set[bytes]):
    """A set of which one finds out whether somebody still has it."""


def test_the_names_of_directories_that_nobody_asks_for_any_more_are_not_kept(
    destinations: PosixDestinations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("fdtd.storage.listing.time.monotonic", lambda: clock[0])
    read: list[weakref.ref[Names]] = []

    def names(_descriptor: int, _most: int) -> Names:
        made = Names({b"1"})
        read.append(weakref.ref(made))
        return made

    monkeypatch.setattr("fdtd.storage.listing.list_names", names)
    for number in range(8):
        (tmp_path / str(number)).mkdir()
        clock[0] += 0.3
        for _ in range(3):
            assert destinations.survey(os.fsencode(tmp_path / str(number)), [b"file"] * 64) is not None
    assert len(read) == 8
    assert 4 <= [ref() is not None for ref in read].index(True) < 8


def test_of_many_missing_directories_not_all_are_remembered(destinations: PosixDestinations, tmp_path: Path) -> None:
    for number in range(3000):
        survey = destinations.survey(os.fsencode(tmp_path / f"{number}"), [b"file"])
        assert survey is not None and survey.site.bare
    assert sum(isinstance(one, Site) for one in gc.get_objects()) < 2000
