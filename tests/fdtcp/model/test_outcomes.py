"""The outcomes of a whole job."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fdtcp.errors import MoverDied, Phase, Side
from fdtcp.model.columns import Columns
from fdtcp.model.order import Outcome, State
from fdtcp.model.outcomes import Outcomes

DIED = MoverDied("killed").problem(Side.SOURCE, Phase.TRANSFER)
FILES = 8
OUTCOMES = st.builds(
    Outcome,
    st.integers(0, FILES - 1),
    st.sampled_from(State),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.sampled_from(["", "adler32:00000001"]),
    st.sampled_from([0.0, 1.5]),
    st.sampled_from([None, DIED]),
    st.sampled_from(["", "stored"]),
)


def columns(*outcomes: Outcome) -> Columns[Outcome]:
    return Columns.of(Outcome, outcomes)


@given(st.lists(st.lists(OUTCOMES, max_size=6), max_size=4))
def test_the_first_outcome_of_each_file_counts(chunks: list[list[Outcome]]) -> None:
    known = Outcomes(FILES)
    wanted: dict[int, Outcome] = {}
    for chunk in chunks:
        new: dict[int, Outcome] = {}
        for one in chunk:
            if one.index not in wanted:
                new.setdefault(one.index, one)
        wanted |= new
        assert known.note(columns(*chunk)) == list(new.values())
    assert dict(known) == wanted
    assert known.missing() == [index for index in range(FILES) if index not in wanted]
    assert known.is_whole == (len(wanted) == FILES)
    assert known.in_order == [wanted.get(index) for index in range(FILES)]
    assert known.in_order[2:5] == [wanted.get(index) for index in range(2, 5)]
    assert known.rows(1, 6) == [wanted[index] for index in range(1, 6) if index in wanted]
    assert [known.tally(state) for state in State] == [
        sum(one.state is state for one in wanted.values()) for state in State
    ]
    assert Outcomes.of(known.in_order) is known
    assert dict(Outcomes.of([wanted.get(index) for index in range(FILES)])) == wanted
    assert dict(Outcomes.of(wanted, FILES)) == wanted


def test_files_that_follow_each_other_come_as_well_as_others() -> None:
    run = [Outcome(index, State.DONE, index, index, 0, f"adler32:{index:08x}", 1.0) for index in range(2, 6)]
    known = Outcomes(FILES)
    assert known.note(columns(*run)) == run
    assert list(known.values()) == run


def test_a_part_takes_its_places_in_the_whole() -> None:
    part, whole = Outcomes(2), Outcomes(FILES)
    failed = Outcome(1, State.FAILED, 0, problem=DIED)
    part.note(columns(failed))
    whole.add(part, (3, 5))
    assert dict(whole) == {5: replace(failed, index=5)}


def test_a_copy_stays_as_it_is() -> None:
    known = Outcomes(2)
    before = known.copy()
    known.note(columns(Outcome(0, State.DONE, 1)))
    assert (len(before), len(known), len(known.copy())) == (0, 1, 1)
    assert 0 in known
    assert 1 not in known
    assert 7 not in known
