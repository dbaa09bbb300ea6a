"""What is told of a session."""

from __future__ import annotations

from fdtcp.contract import MAX_CHUNK
from fdtcp.errors import MoverDied, Phase, Side
from fdtcp.model import order
from fdtd.live.telling import facts_of, is_ended, news_of
from tests.helpers.sessions import done, expecting, session


def test_a_client_hears_each_outcome_once_and_of_the_end_behind_the_last() -> None:
    one = expecting(*range(MAX_CHUNK + 1))
    one.on_message(order.Finals(tuple(done(index) for index in range(MAX_CHUNK + 1))), 0.1)
    one.on_message(order.Ended(MoverDied("x").problem(Side.DESTINATION, Phase.TRANSFER)), 0.2)
    first = news_of(one, 0)
    assert (first.cursor, len(first.outcomes), first.ended, first.problem) == (MAX_CHUNK, MAX_CHUNK, False, None)
    one.on_exit("status 0")
    assert is_ended(one) and not news_of(one, 0).ended
    last = news_of(one, first.cursor)
    assert (last.cursor, [outcome.index for outcome in last.outcomes], last.ended) == (MAX_CHUNK + 1, [MAX_CHUNK], True)


def test_an_administrator_sees_whose_it_is_and_how_it_goes() -> None:
    one = session()
    facts = facts_of(one, one.opened + 3.04, 17, 100)
    assert (facts["pid"], facts["memory"], facts["age"], facts["waiting"]) == (17, 100, 3.0, 0)
    assert facts["dn"] == one.key.dn and facts["side"] == "destination"
    one.on_exit("signal 9")
    assert facts_of(one, one.opened, 17, 0)["pid"] is None
