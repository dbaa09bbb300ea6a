"""Sessions in any order of events that clients, movers and clocks may find."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fdtcp.errors import Phase, Problem, ProtocolViolation, Side
from fdtcp.model import order
from fdtcp.model.order import (
    Outcome,
    State,
)
from fdtd.errors import SessionOver
from fdtd.sessions import commands as do
from fdtd.sessions.states import SessionState
from tests.helpers.sessions import WHY, file, session


class AnySession(RuleBasedStateMachine):
    """Whatever clients and movers do: each file ends once, positions have no gap, an end is an end."""

    def __init__(self) -> None:
        super().__init__()
        self.one = session()
        self.now = 0.0
        self.recorded: list[Outcome] = []
        self.ends = 0
        self.sweeping = False

    def perform(self, commands: list[do.Command]) -> None:
        for command in commands:
            if isinstance(command, do.Record):
                assert command.position == len(self.recorded)
                self.recorded += command.outcomes
            self.ends += isinstance(command, do.RecordEnd)
            self.sweeping = self.sweeping or isinstance(command, do.StartSweep)

    @rule(first=st.integers(0, 5), count=st.integers(0, 3), refused=st.booleans(), last=st.booleans())
    def expect(self, first: int, count: int, refused: bool, last: bool) -> None:
        files = [file(index) for index in range(first, first + count)]
        problems: dict[int, Problem] = {first: WHY} if refused and count else {}
        try:
            self.perform(self.one.expect(files, problems, last))
        except (SessionOver, ProtocolViolation):
            pass

    @rule(index=st.integers(0, 8), state=st.sampled_from(State))
    def final(self, index: int, state: State) -> None:
        problem = WHY if state is State.FAILED else None
        try:
            self.perform(self.one.on_message(order.Finals((Outcome(index, state, 10, problem=problem),)), self.now))
        except ProtocolViolation as exc:
            self.perform(self.one.fail(exc.problem(Side.DESTINATION, Phase.TRANSFER), self.now))

    @rule()
    def ended(self) -> None:
        self.perform(self.one.on_message(order.Ended(), self.now))

    @rule(discard=st.booleans())
    def stop(self, discard: bool) -> None:
        self.perform(self.one.stop(discard, WHY, self.now))

    @rule()
    def exit(self) -> None:
        self.perform(self.one.on_exit("signal SIGKILL"))

    @rule()
    def swept(self) -> None:
        if self.sweeping:
            self.sweeping = False
            self.perform(self.one.on_swept([]))

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.perform(self.one.tick(self.now))

    @invariant()
    def every_file_ends_once(self) -> None:
        assert self.recorded == self.one.destination.outcomes
        indexes = [one.index for one in self.recorded]
        assert len(set(indexes)) == len(indexes)
        waiting = self.one.destination.waiting_paths()
        assert len(waiting) == self.one.destination.waiting
        assert not {file(index).path for index in indexes} & set(waiting)
        assert self.ends == (self.one.state is SessionState.ENDED)
        if self.one.state is SessionState.ENDED:
            assert not self.one.destination.waiting


TestAnySession = AnySession.TestCase
TestAnySession.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
