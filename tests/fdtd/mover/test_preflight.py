"""What is decided before a byte moves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import pytest

from fdtcp.errors import DestinationHangs, DestinationUnwritable, PathRefused, Status
from fdtcp.model.columns import Columns
from fdtcp.model.order import Action, DestinationFile, OnExists, Policy, Resume, SameBy, Verify
from fdtd.mover.hangs import Hangs
from fdtd.mover.preflight import Preflight
from fdtd.storage.base import Facts, Site, Survey
from fdtd.storage.null import NullDestinations

FILE = DestinationFile(0, b"/to/file", 1 << 30, 5, 0o644, b"fdt://s/file")


class FakeDestinations(NullDestinations):
    """Says what it is told to be found."""

    def __init__(self, site: Site | None) -> None:
        self.site = site

    def look(self, path: bytes) -> Site:
        if self.site is None:
            raise DestinationUnwritable(f"{path!r}")
        return self.site


def decide(site: Site | None, policy: Policy | None = None) -> tuple[Action, str]:
    verdict = Preflight(policy or Policy(), FakeDestinations(site)).decide(FILE).verdict
    return verdict.action, verdict.problem.code if verdict.problem else ""


EMPTY = Site(None, 1, 1 << 40)
SAME = replace(EMPTY, existing=Facts(1 << 30, 5, 0, 0o600))
LATER = replace(EMPTY, existing=Facts(1 << 30, 6, 0, 0o600))
OTHER = replace(EMPTY, existing=Facts(1, 0, 0, 0o600))


@pytest.mark.parametrize(
    ("site", "policy", "expected"),
    [
        (EMPTY, Policy(), (Action.SEND, "")),
        (SAME, Policy(), (Action.COMPARE, "")),
        (SAME, Policy(same_by=SameBy.SIZE), (Action.SKIP, "")),
        (SAME, Policy(same_by=SameBy.TIME), (Action.SKIP, "")),
        (LATER, Policy(same_by=SameBy.TIME), (Action.SKIP, "destination-exists")),
        (LATER, Policy(), (Action.COMPARE, "")),
        (SAME, Policy(on_exists=OnExists.UPDATE, same_by=SameBy.TIME), (Action.SKIP, "")),
        (LATER, Policy(on_exists=OnExists.UPDATE, same_by=SameBy.TIME), (Action.SEND, "")),
        (LATER, Policy(on_exists=OnExists.UPDATE, same_by=SameBy.SIZE), (Action.SKIP, "")),
        (OTHER, Policy(on_exists=OnExists.UPDATE, same_by=SameBy.SIZE), (Action.SEND, "")),
        (SAME, Policy(on_exists=OnExists.FAIL), (Action.SKIP, "destination-exists")),
        (SAME, Policy(on_exists=OnExists.OVERWRITE), (Action.SEND, "")),
        (OTHER, Policy(), (Action.SKIP, "destination-exists")),
        (OTHER, Policy(on_exists=OnExists.OVERWRITE), (Action.SEND, "")),
        (replace(EMPTY, free=1 << 20), Policy(), (Action.SKIP, "destination-full")),
        (None, Policy(), (Action.SKIP, "destination-unwritable")),
    ],
)
def test_each_situation_has_its_verdict(site: Site | None, policy: Policy, expected: tuple[Action, str]) -> None:
    assert decide(site, policy) == expected


def test_what_exists_and_differs_has_the_status_of_exists() -> None:
    problem = Preflight(Policy(), FakeDestinations(OTHER)).decide(FILE).verdict.problem
    assert problem is not None and problem.status is Status.EXISTS


def test_a_look_that_was_relieved_promises_nothing_when_it_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    preflight = Preflight(Policy(), destinations := FakeDestinations(EMPTY))
    preflight.decide(FILE)
    (left,) = preflight.room.values()

    def come_late(_path: bytes) -> Site:
        preflight.room = dict(preflight.room)  # as who relieves it does meanwhile
        return EMPTY

    monkeypatch.setattr(destinations, "look", come_late)
    preflight.decide(FILE)
    assert list(preflight.room.values()) == [left]


def test_space_is_promised_once() -> None:
    preflight = Preflight(Policy(), FakeDestinations(Site(None, 1, (5 << 29) + (1 << 20))))
    verdicts = [preflight.decide(replace(FILE, index=index)).verdict for index in range(3)]
    assert [verdict.problem.code if verdict.problem else "" for verdict in verdicts] == ["", "", "destination-full"]
    empty = preflight.decide(replace(FILE, index=3, size=0)).verdict
    assert empty.problem is None


class Surveyed(FakeDestinations):
    """Has been surveyed."""

    def __init__(self, survey: Survey | None) -> None:
        super().__init__(EMPTY)
        self.found = survey

    def survey(self, above: bytes, names: Sequence[bytes]) -> Survey | None:  # noqa: ARG002  # it holds for all
        if above == b"/refused":
            raise PathRefused(f"{above!r}")
        return self.found if above == b"/to" else None


def plain(survey: Survey | None, policy: Policy, *files: tuple[str, int]) -> list[int]:
    rows = [replace(FILE, index=index, path=os.fsencode(path), size=size) for index, (path, size) in enumerate(files)]
    return Preflight(policy, Surveyed(survey)).plain(Columns.of(DestinationFile, rows))


VACANT = Survey(replace(EMPTY, bare=True, gives_back=True), frozenset({b"there"}))


def test_plain_is_what_is_small_and_not_there_where_that_can_be_told_at_once() -> None:
    files = (
        ("/to/one", 0),
        ("/to/there", 5),
        ("/other/one", 5),
        ("/refused/one", 5),
        ("/to/big", 1 << 30),
        ("/to/2", 9),
    )
    assert plain(VACANT, Policy(), *files) == [0, 5]
    assert plain(None, Policy(), *files) == []


def test_nothing_is_plain_that_only_a_look_can_tell() -> None:
    assert plain(VACANT, Policy(resume=Resume.REQUIRE), ("/to/one", 1)) == []
    assert plain(VACANT, Policy(writers=2), ("/to/one", 1)) == []
    for gives_back in (True, False):
        survey = Survey(replace(VACANT.site, gives_back=gives_back), frozenset())
        assert plain(survey, Policy(verify=Verify.DISK), ("/to/one", 1)) == ([0] if gives_back else [])


def test_space_is_promised_to_plain_files_and_to_others_once() -> None:
    site = replace(VACANT.site, free=(1 << 20) + 15)
    preflight = Preflight(Policy(), Surveyed(Survey(site, frozenset())))
    rows = [replace(FILE, index=index, size=5) for index in range(2)]
    assert preflight.plain(Columns.of(DestinationFile, rows)) == [0, 1]
    assert preflight.plain(Columns.of(DestinationFile, rows)) == [], "each may still fit"
    verdicts = [preflight.decide(row).verdict for row in rows]
    assert [verdict.problem.code if verdict.problem else "" for verdict in verdicts] == ["", "destination-full"]


def test_what_is_on_a_device_that_hangs_is_not_asked_for() -> None:
    """It may answer looks from a cache, and hang in writes: each order used to cost a thread and the stall time."""
    hangs = Hangs()
    preflight = Preflight(Policy(), Surveyed(Survey(EMPTY, set())), hangs)
    small = replace(FILE, size=1000)
    assert preflight.plain(Columns.of(DestinationFile, [small])) == [0]
    assert preflight.decide(small).verdict.problem is None
    hangs.note(FILE.path, DestinationHangs("x"))
    assert preflight.plain(Columns.of(DestinationFile, [small])) == []
    verdict = preflight.decide(small).verdict
    assert verdict.action is Action.SKIP and verdict.problem is not None and verdict.problem.code == "destination-hangs"
