"""A play: the machine of a job talks with two daemons in memory, without threads; time is what the play says."""

from __future__ import annotations

from fdtcp.contract import Request, Watch
from fdtcp.ends import Call, Close, Command, Open, Told
from fdtcp.errors import Phase, RemoteProblem, Side, Unreachable
from fdtcp.model.options import Options
from fdtcp.model.order import Outcome
from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer
from fdtcp.thirdparty import ThirdParty
from tests.helpers.fakedaemons import FakePair

LOST = Unreachable("the connection broke").problem(Side.SOURCE, Phase.TRANSFER)


def transfers(number: int) -> list[Transfer]:
    return [
        Transfer(Pfn.parse(b"fdt://source.example:1/in/%d" % i), Pfn.parse(b"fdt://destination.example:2/out/%d" % i))
        for i in range(number)
    ]


class Play:
    """Carries out the machine's commands at the fake daemons, in order, without threads."""

    def __init__(self, number: int, pair: FakePair | None = None) -> None:
        self.pair = pair or FakePair({b"/in/%d" % i: i for i in range(number)})
        self.machine = ThirdParty("ab" * 16, transfers(number), Options(), contact=10.0, grace=30.0)
        self.now = 0.0
        self.told: list[Outcome] = []
        self.commands: list[Command] = []
        self.unreachable: set[Side] = set()
        self.cut: set[Side] = set()

    def play(self, until: float = 120.0) -> None:
        self.commands += self.machine.start(self.now)
        self.go_on(until)

    def go_on(self, until: float = 120.0) -> None:
        while not self.machine.is_ended and self.now < until:
            if not self.commands:
                self.now = max(self.now + 0.001, min(self.machine.wake_at(self.now), self.now + 1.0))
                self.commands += self.machine.tick(self.now)
                continue
            self.commands += self.perform(self.commands.pop(0))

    def perform(self, command: Command) -> list[Command]:
        self.now += 0.001
        match command:
            case Told(outcomes):
                self.told += outcomes
            case Open(side) if side in self.unreachable | self.cut:
                return self.machine.not_opened(side, Unreachable(f"no {side}").problem(side, Phase.CONNECT), self.now)
            case Open(side):
                return self.machine.opened(side, self.now)
            case Call(side) if any(isinstance(later, Open | Close) and later.side is side for later in self.commands):
                pass  # the connection was given up meanwhile; the runner drops its last words, too
            case Call(side) if side in self.cut:
                return self.machine.lost(side, LOST, self.now)
            case Call(side, request):
                return self.call(side, request)
            case Close():
                pass
        return []

    def call(self, side: Side, request: Request) -> list[Command]:
        try:
            reply = self.pair.answer(side, request)
        except RemoteProblem as exc:
            return self.machine.refused(side, exc.problem(side, Phase.TRANSFER), self.now)
        if isinstance(request, Watch) and not getattr(reply, "ended", True):
            self.now += request.wait
        return self.machine.replied(side, reply, self.now)

    def states(self) -> list[str]:
        return [self.machine.ledger.outcomes[i].state.value for i in sorted(self.machine.ledger.outcomes)]

    def reasons(self) -> set[str]:
        return {outcome.problem.code for outcome in self.told if outcome.problem}
