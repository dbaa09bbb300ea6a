"""What the ends of a job are told of its rate, as dialogues."""

from __future__ import annotations

from fdtcp.contract import SetRate, Watch
from fdtcp.errors import Phase, RemoteProblem, Side, Unreachable
from fdtcp.rates import Rates
from tests.helpers.play import Play


def told(play: Play) -> list[tuple[str, int]]:
    return [(side.value, call.rate) for side, call in play.pair.calls if isinstance(call, SetRate)]


def test_who_keeps_to_what_was_said_is_told_nothing() -> None:
    rates = Rates(5)
    rates.note(Side.DESTINATION, 5)
    rates.note(Side.SOURCE, 3)
    rates.note(Side.DESTINATION, None)
    assert rates.next_for(Side.SOURCE) is rates.next_for(Side.DESTINATION) is None


def test_the_source_is_told_what_the_destination_keeps_to_and_the_destination_what_is_wanted() -> None:
    rates = Rates(0)
    rates.want(9)
    assert (rates.next_for(Side.DESTINATION), rates.next_for(Side.SOURCE)) == (9, 9)
    rates.note(Side.DESTINATION, 4)
    assert rates.next_for(Side.SOURCE) == 4
    rates.told(Side.SOURCE, 4)
    rates.told(Side.DESTINATION, 9)
    assert rates.next_for(Side.SOURCE) is rates.next_for(Side.DESTINATION) is None


def test_a_source_is_slow_before_its_first_byte_where_the_destination_is() -> None:
    play = Play(2)
    play.pair.rate = 1000
    play.play()
    assert play.states() == ["done", "done"]
    assert told(play) == [("source", 1000)]
    names = play.pair.names(Side.SOURCE)
    assert names.index("SetRate") < names.index("Connect")


def test_a_rate_that_changes_reaches_both_ends_and_the_job_goes_on() -> None:
    play = Play(1)
    play.pair.is_stalled = True
    play.play(until=5.0)
    play.machine.agenda.rates.want(700)
    play.commands += play.machine.tick(play.now)
    play.go_on(until=10.0)
    assert sorted(told(play)) == [("destination", 700), ("source", 700)]
    play.pair.rate = 300  # another job has begun there
    play.go_on(until=15.0)
    assert told(play)[2:] == [("source", 300)]
    assert not play.machine.problems


def test_a_daemon_that_takes_no_rate_does_not_fail_the_job() -> None:
    play = Play(1)
    play.pair.rate = 1000

    def refuse(request: object) -> None:
        if isinstance(request, SetRate):
            raise RemoteProblem(Unreachable("no such call").problem(Side.SOURCE, Phase.SERVICE))

    play.pair.on_call = refuse
    play.play()
    assert play.states() == ["done"]
    assert len(told(play)) == 1


def test_a_daemon_that_was_restarted_does_not_undo_a_limit() -> None:
    play = Play(1)
    play.pair.is_stalled = True
    play.pair.rate = 1000
    play.play(until=3.0)
    play.pair.rate = None
    play.go_on(until=6.0)
    assert told(play) == [("source", 1000)]
    assert any(isinstance(call, Watch) for _, call in play.pair.calls)
