"""What is decided before a byte moves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fdtcp.errors import DestinationUnwritable, Status
from fdtcp.model.order import Action, DestinationFile, OnExists, Policy, SameBy
from fdtd.mover.preflight import Preflight
from fdtd.storage.base import Facts, Site
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


def test_space_is_promised_once() -> None:
    preflight = Preflight(Policy(), FakeDestinations(Site(None, 1, (5 << 29) + (1 << 20))))
    verdicts = [preflight.decide(replace(FILE, index=index)).verdict for index in range(3)]
    assert [verdict.problem.code if verdict.problem else "" for verdict in verdicts] == ["", "", "destination-full"]
    empty = preflight.decide(replace(FILE, index=3, size=0)).verdict
    assert empty.problem is None
