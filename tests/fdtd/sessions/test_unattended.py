"""A detached job's end goes on without its client while bytes flow, and no longer."""

from __future__ import annotations

from fdtcp.errors import Side
from fdtcp.model.order import Progress
from fdtd.sessions.states import SessionState
from tests.helpers.sessions import GRACE, session


def test_bytes_that_flow_stand_in_for_the_client_of_a_detached_job() -> None:
    one = session(Side.SOURCE, unattended=True)
    for second in range(1, 200):
        one.on_message(Progress(second * 1000, 0, ()), float(second))
        assert one.tick(float(second)) == []
    one.on_message(Progress(199_000, 0, ()), 200.0)  # a word without bytes is no sign of life
    assert one.tick(199.0 + GRACE) == []
    assert one.tick(199.1 + GRACE) != []
    assert one.state is SessionState.STOPPING


def test_without_a_first_byte_the_grace_is_the_usual_one() -> None:
    one = session(Side.SOURCE, unattended=True)
    assert one.tick(GRACE + 0.1) != []


def test_other_jobs_end_with_their_client_whatever_flows() -> None:
    one = session(Side.SOURCE)
    one.on_message(Progress(1000, 0, ()), GRACE)
    assert one.tick(GRACE + 0.1) != []
