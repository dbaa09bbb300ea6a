"""The table of a session's states."""

from __future__ import annotations

from fdtd.sessions.states import MOVES, WORKING, Event, SessionState


def test_an_end_is_an_end_and_every_other_state_leads_to_one() -> None:
    leads = {state: {after for (before, _), after in MOVES.items() if before is state} for state in SessionState}
    assert leads.pop(SessionState.ENDED) == set()
    for state, after in leads.items():
        reached = {state} | after
        while more := {next_one for one in reached for next_one in leads.get(one, ())} - reached:
            reached |= more
        assert SessionState.ENDED in reached


def test_a_session_that_works_can_be_stopped_and_can_lose_its_mover() -> None:
    for state in WORKING:
        assert MOVES[state, Event.STOP] is SessionState.STOPPING
        assert {(state, Event.GONE), (state, Event.LOST)} <= MOVES.keys()
