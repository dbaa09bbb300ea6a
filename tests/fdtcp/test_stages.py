from __future__ import annotations

from fdtcp.stages import MOVES, Event, Stage


def test_every_stage_can_be_reached_and_the_last_is_left_by_nothing() -> None:
    reached = {Stage.MOVING} | set(MOVES.values())
    assert reached == set(Stage)
    assert {target for (stage, _), target in MOVES.items() if stage is Stage.ENDED} == {Stage.ENDED}


def test_from_every_stage_there_is_a_way_to_the_end() -> None:
    for start in Stage:
        seen, todo = {start}, [start]
        while todo:
            here = todo.pop()
            for (stage, _), target in MOVES.items():
                if stage is here and target not in seen:
                    seen.add(target)
                    todo.append(target)
        assert Stage.ENDED in seen


def test_every_wait_has_a_deadline() -> None:
    for stage in (Stage.SETTLING, Stage.ABORTING, Stage.CLOSING):
        assert (stage, Event.TOO_LONG) in MOVES
