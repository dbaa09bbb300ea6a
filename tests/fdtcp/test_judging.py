"""What two ends together mean for their job."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fdtcp.agenda import Agenda
from fdtcp.ends import End, Link
from fdtcp.errors import DestinationHangs, Phase, Side, StreamsLost
from fdtcp.judging import SETTLE_S, WRAP_UP_S, cause_of, is_good, judge, patience_for
from fdtcp.model.options import Options
from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer
from fdtcp.stages import Event, Stage

LOST = StreamsLost("x").problem(Side.DESTINATION, Phase.TRANSFER)
HANGS = DestinationHangs("y").problem(Side.DESTINATION, Phase.TRANSFER)


@pytest.fixture
def agenda() -> Agenda:
    return Agenda("ab" * 16, [Transfer(Pfn.parse(b"fdt://a/x"), Pfn.parse(b"fdt://b/x"))], Options())


@pytest.fixture
def ends() -> dict[Side, End]:
    return {side: End(side, link=Link.IDLE, was_opened=True) for side in (Side.SOURCE, Side.DESTINATION)}


def test_a_job_moves_until_an_end_is_gone(ends: dict[Side, End], agenda: Agenda) -> None:
    assert judge(Stage.MOVING, ends, agenda, is_late=True) is None
    ends[Side.DESTINATION].is_over = True
    assert judge(Stage.MOVING, ends, agenda, is_late=False) is Event.END_GONE


def test_who_was_never_reached_is_waited_for_and_who_says_nothing_more_is_not(
    ends: dict[Side, End], agenda: Agenda
) -> None:
    assert judge(Stage.SETTLING, ends, agenda, is_late=True) is Event.TOO_LONG
    ends[Side.SOURCE] = End(Side.SOURCE)
    assert judge(Stage.SETTLING, ends, agenda, is_late=True) is None
    ends[Side.SOURCE].is_over = ends[Side.DESTINATION].is_over = True
    assert judge(Stage.SETTLING, ends, agenda, is_late=False) is Event.BOTH_OVER


def test_it_is_closed_when_both_ends_are(ends: dict[Side, End], agenda: Agenda) -> None:
    for end in ends.values():
        assert judge(Stage.CLOSING, ends, agenda, is_late=False) is None
        end.link = Link.CLOSED
    assert judge(Stage.CLOSING, ends, agenda, is_late=False) is Event.BOTH_OVER


def test_what_was_not_begun_is_not_waited_for(ends: dict[Side, End], agenda: Agenda) -> None:
    assert patience_for(ends, agenda) == 0.0 < WRAP_UP_S < SETTLE_S
    assert not is_good(ends, agenda)


def test_what_one_end_knows_counts_more_than_what_the_other_one_saw_of_it(ends: dict[Side, End]) -> None:
    root, unsaid = cause_of(ends)
    assert root is None and unsaid.code == "mover-died"
    ends[Side.SOURCE].fail(replace(LOST, side=Side.SOURCE))
    assert cause_of(ends)[0] == replace(LOST, side=Side.SOURCE)
    ends[Side.DESTINATION].fail(HANGS)
    assert cause_of(ends)[0] == HANGS
