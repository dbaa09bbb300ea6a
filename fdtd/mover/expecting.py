"""Pre-flight at the destination, by a thread that its file system may keep.

Decides how long a look may take and what becomes of an order whose look hangs: another thread goes on with what is left
of it, without the directory that gave no answer, whose files fail.  The daemon waits a minute for the answer to an
order, and the writer's own thread shall tell of what is done meanwhile.

One thread looks at a time, so what pre-flight has promised to one order is seen by the next.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Final

from fdtcp.errors import DestinationHangs, FdtError, Phase, Side
from fdtcp.model.columns import Columns
from fdtcp.model.order import Action, DestinationFile, Expect, Verdict
from fdtcp.value import dataclass
from fdtd.mover.control import ANSWER_WITHIN_S
from fdtd.mover.preflight import Decision, Preflight

# One look takes milliseconds, on a file system that is busy a second; so three directories may hang in one order.
LOOK_S: Final = 15.0

# What was decided on a file.
Decided = tuple[DestinationFile, Decision]

# What is found: an order's files, the places of those that are plain, and what was decided on the others.
Answer = Callable[[Expect, Columns[DestinationFile], Sequence[int], Iterable[Decided]], None]


class _Relieved(Exception):
    """Another thread has taken over."""


@dataclass(slots=True)
class _Look:
    """An order in the hands of one thread."""

    order: Expect
    files: Columns[DestinationFile]
    begun: float
    room: Mapping[int, int]  # what pre-flight had promised before it
    plain: Sequence[int] | None = None
    decided: dict[int, Decided] = field(default_factory=dict)  # by place
    now: tuple[bytes, float] = (b"", 0.0)  # at which directory it is, and since when
    is_lost: bool = False
    is_over: bool = False

    @property
    def undecided(self) -> list[tuple[int, DestinationFile]]:
        """The files to be decided on one by one, with their places."""
        known = {*(self.plain or ()), *self.decided}
        places = [place for place in range(len(self.files)) if place not in known]
        return list(zip(places, self.files.pick(places), strict=True))


class Expecting:
    """The orders to expect files; used by the writer's own thread only."""

    def __init__(self, preflight: Preflight, patience_s: float, answer: Answer, wake: Callable[[], None]) -> None:
        """`patience_s`: how long one look may take; `wake` is called from another thread when `tick` shall be."""
        self._preflight = preflight
        self._patience_s = min(patience_s, LOOK_S)
        self._answer = answer
        self._wake = wake
        self._lock = threading.Lock()  # for what a thread and the one that relieves it could both change
        self._waiting: deque[tuple[Expect, float]] = deque()
        self._look: _Look | None = None
        self._hung: dict[bytes, DestinationHangs] = {}  # by directory

    def begin(self, order: Expect, now: float) -> None:
        """Look at the destinations of an order, behind those that came before."""
        self._waiting.append((order, now))
        if self._look is None:
            self._start_next()

    def tick(self, now: float) -> None:
        """Answer an order, or take it from a thread that hangs."""
        if (look := self._look) is None:
            return
        if not look.is_over and self._is_stuck(look, now):
            self._relieve(look, now)
        elif look.is_over:
            self._look = None
            self._answer(look.order, look.files, look.plain or (), look.decided.values())
            if self._waiting:
                self._start_next()

    def _is_stuck(self, look: _Look, now: float) -> bool:
        return now - look.now[1] >= self._patience_s or now - look.begun >= ANSWER_WITHIN_S

    def _relieve(self, look: _Look, now: float) -> None:
        with self._lock:
            if look.is_over:
                return
            look.is_lost = True
        above, since = look.now
        name = os.fsdecode(above)
        self._hung[above] = DestinationHangs(
            f"looking at {name}: its file system has not answered for {now - since:.0f} s"
        )
        self._preflight.room = dict(look.room if look.plain is None else self._preflight.room)
        left = _Look(look.order, look.files, look.begun, look.room, look.plain, dict(look.decided))
        if now - look.begun >= ANSWER_WITHIN_S:
            self._put_off(left)
        self._start(left)

    def _put_off(self, look: _Look) -> None:
        """Decide on all that is left of an order whose time is over."""
        error = DestinationHangs("the look at it was put off: the file systems of others have not answered in time")
        look.plain = look.plain or ()
        for place, file in look.undecided:
            look.decided[place] = file, _refused(file, self._hung.get(_above(file), error))

    def _start_next(self) -> None:
        order, came = self._waiting.popleft()
        self._start(_Look(order, Columns.of(DestinationFile, order.files), came, dict(self._preflight.room)))

    def _start(self, look: _Look) -> None:
        look.now = (b"", time.monotonic())
        self._look = look
        threading.Thread(target=self._run, args=(look,), name="preflight", daemon=True).start()

    def _run(self, look: _Look) -> None:
        try:
            self._decide(look)
        except _Relieved:
            return
        with self._lock:
            look.is_over = not look.is_lost
        self._wake()

    def _decide(self, look: _Look) -> None:
        def may_look(above: bytes) -> bool:
            if look.is_lost:
                raise _Relieved
            look.now = above, time.monotonic()
            return above not in self._hung

        if look.plain is None:
            plain = self._preflight.plain(look.files, may_look)
            with self._lock:
                if look.is_lost:
                    raise _Relieved
                look.plain = plain
        for place, file in look.undecided if len(look.plain) < len(look.files) else ():
            if may_look(above := _above(file)):
                self._keep(look, place, (file, self._preflight.decide(file)))
            else:
                look.decided[place] = file, _refused(file, self._hung[above])

    def _keep(self, look: _Look, place: int, decided: Decided) -> None:
        with self._lock:
            if not look.is_lost:
                look.decided[place] = decided
                return
        if (partial := decided[1].partial) is not None:
            partial.close()  # what is safe in it stays for another attempt
        raise _Relieved


def _above(file: DestinationFile) -> bytes:
    return file.path.rpartition(b"/")[0]


def _refused(file: DestinationFile, error: FdtError) -> Decision:
    problem = error.problem(Side.DESTINATION, Phase.PREFLIGHT)
    return Decision(Verdict(file.index, Action.SKIP, problem=problem))
