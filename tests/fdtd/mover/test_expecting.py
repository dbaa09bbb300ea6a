"""Pre-flight whose looks may hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest

from fdtcp.model.columns import Columns
from fdtcp.model.order import Action, DestinationFile, Expect, Policy, Verdict
from fdtd.mover.control import ANSWER_WITHIN_S
from fdtd.mover.expecting import Decided, Expecting
from fdtd.mover.preflight import Decision, Preflight
from fdtd.storage.choose import ChosenDestinations
from fdtd.storage.paths import Prefixes

WAIT_S = 30.0


class FakePartial:
    """What a thread that was relieved has claimed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


class Fake(Preflight):
    """Pre-flight in which directories called /dead... hang; files of /plain... are plain."""

    def __init__(self, prefixes: Prefixes) -> None:
        super().__init__(Policy(), ChosenDestinations(prefixes))
        self.entered, self.go_on = threading.Semaphore(0), threading.Event()
        self.claimed = FakePartial()
        self.rooms: list[dict[int, int]] = []
        self.looks: list[bytes] = []

    def plain(
        self, files: Columns[DestinationFile], may_look: Callable[[bytes], bool] = lambda _above: True
    ) -> list[int]:
        self.rooms.append(dict(self.room))
        found = []
        for place, path in enumerate(files.names("path")):
            above = path.rpartition(b"/")[0]
            if above.startswith((b"/plain", b"/deadplain")) and may_look(above):
                self.room[1] = self.room.get(1, 100) - 1
                self._look(above)
                found.append(place)
        return found

    def decide(self, file: DestinationFile) -> Decision:
        self._look(file.path.rpartition(b"/")[0])
        verdict = Verdict(file.index, Action.SEND)
        return Decision(verdict, self.claimed if file.path.startswith(b"/dead") else None)  # type: ignore[arg-type]  # as much of a partial as is used

    def _look(self, above: bytes) -> None:
        self.looks.append(above)
        if above.startswith(b"/dead"):
            self.entered.release()
            assert self.go_on.wait(WAIT_S)


class Stage:
    def __init__(self, preflight: Fake) -> None:
        self.preflight = preflight
        self.woken = threading.Event()
        self.answers: list[tuple[int, dict[int, str]]] = []
        self.expecting = Expecting(preflight, 10.0, self.answer, self.woken.set)

    def answer(
        self, order: Expect, files: Columns[DestinationFile], plain: Sequence[int], decided: Iterable[Decided]
    ) -> None:
        indexes = files.numbers("index")
        found = dict.fromkeys([indexes[place] for place in plain], "plain")
        for file, decision in decided:
            problem = decision.verdict.problem
            found[file.index] = f"{problem.code}: {problem.reason}" if problem else "send"
        self.answers.append((order.seq, found))

    def begin(self, *paths: str, seq: int = 0) -> None:
        files = [DestinationFile(at, path.encode(), 5, 0, 0o644, b"s") for at, path in enumerate(paths)]
        self.expecting.begin(Expect(seq, Columns.of(DestinationFile, files), last=True), time.monotonic())

    def wait_answers(self, count: int) -> list[tuple[int, dict[int, str]]]:
        """Wait for so many answers, on a clock that stands."""
        while len(self.answers) < count:
            assert self.woken.wait(WAIT_S)
            self.woken.clear()
            self.expecting.tick(0.0)
        return self.answers

    def hang(self, seconds: float) -> None:
        """Wait until a look hangs, and let so much time go by."""
        assert self.preflight.entered.acquire(timeout=WAIT_S)
        self.expecting.tick(time.monotonic() + seconds)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Prefixes([]) as prefixes:
        made = Stage(Fake(prefixes))
        yield made
        made.preflight.go_on.set()


def test_orders_are_answered_one_behind_the_other(stage: Stage) -> None:
    stage.begin("/plain/a", "/other/b", seq=1)
    stage.begin("/other/c", seq=2)
    assert stage.wait_answers(2) == [(1, {0: "plain", 1: "send"}), (2, {0: "send"})]


def test_a_look_that_hangs_fails_its_directory_and_others_are_looked_at(stage: Stage) -> None:
    stage.begin("/one/a", "/dead/b", "/two/c", "/dead/d", "/plain/e")
    stage.hang(11)
    ((_, found),) = stage.wait_answers(1)
    assert {at: said.partition(":")[0] for at, said in found.items()} == {
        4: "plain",
        0: "send",
        1: "destination-hangs",
        2: "send",
        3: "destination-hangs",
    }
    assert "looking at /dead: its file system has not answered for 11 s" in found[1]
    assert stage.preflight.looks.count(b"/one") == 1, "what was found before stays"
    # Nobody asks there again; and what the thread that hung comes back with is nobody's.
    stage.begin("/dead/b")
    assert stage.wait_answers(2)[1][1][0].startswith("destination-hangs")
    stage.preflight.go_on.set()
    assert stage.preflight.claimed.closed.wait(WAIT_S)


def test_a_survey_that_hangs_is_made_again_without_it_and_promises_nothing_twice(stage: Stage) -> None:
    stage.begin("/plain/a", "/deadplain/b", "/plain2/c")
    stage.hang(11)
    ((_, found),) = stage.wait_answers(1)
    assert (found[0], found[2]) == ("plain", "plain") and found[1].startswith(
        "destination-hangs: looking at /deadplain"
    )
    assert stage.preflight.rooms == [{}, {}]


def test_what_is_not_known_in_time_is_said_in_time(stage: Stage) -> None:
    stage.begin("/one/a", "/dead/b", "/two/c")
    stage.hang(ANSWER_WITHIN_S + 1)
    ((_, found),) = stage.wait_answers(1)
    assert found[0] == "send" and "looking at /dead" in found[1] and "was put off" in found[2]


def test_a_look_that_takes_its_time_is_waited_for(stage: Stage) -> None:
    stage.begin("/dead/a")
    stage.hang(9)
    assert not stage.answers
    stage.preflight.go_on.set()
    assert stage.wait_answers(1) == [(0, {0: "send"})]
