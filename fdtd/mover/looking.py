"""Pre-flight at the source: a look at each file, by threads that its file system may keep.

Decides how long a look may take and what goes on beside one that takes long.  A dead mount holds whoever asks it for
anything, for as long as it likes, and does not answer a second one either: so what lies beside a file that gives no
answer is looked at last.  The daemon waits a minute for the answer to an order.

A thread takes all files of an order at once, and is relieved of those behind one that takes long: a lock and a message
between threads for each file cost more than the look.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from typing import Final, Protocol

from fdtcp.errors import FdtError, Phase, Problem, ProtocolViolation, Side, SourceHangs
from fdtcp.model.columns import Columns
from fdtcp.model.order import Describe, Described, Found, SourceFile
from fdtcp.value import dataclass
from fdtd.mover.control import ANSWER_WITHIN_S, Control
from fdtd.storage.base import Look, Reading

# So long a thread may be busy with one look until another one takes on the rest.
SLOW_S: Final = 1.0

# So many threads look at the files of one order at most, and so many may hang altogether.
_THREADS: Final = 8
_HUNG: Final = 64

_NOTHING: Final[Look] = (0, 0, 0, 0, 0)

# A file of an order: its index and its path.
File = tuple[int, bytes]


class Files(Protocol):
    """What is looked at, and who remembers it: `fdtd.mover.outbox.Outbox`."""

    def reading(self) -> AbstractContextManager[Reading | None]:
        """Look at files one behind the other, where the storage can."""

    def look(self, path: bytes) -> Look | Problem:
        """Look at one file that is not looked at in that way."""

    def note_looks(self, paths: Sequence[bytes], looks: Mapping[int, Look]) -> None:
        """Remember what was found.  Raises ProtocolViolation."""


@dataclass(slots=True)
class _Turn:
    """The files that one thread looks at, one behind the other.  Only the thread writes, and the others read."""

    files: list[File]
    now: tuple[int, float]  # at which of them it is, and since when
    seen: list[Look | Problem] = field(default_factory=list)
    is_cut: bool = False  # it is relieved of those behind that one


@dataclass(slots=True)
class _Chunk:
    """The files of one order."""

    seq: int
    begun: float
    left: deque[File]
    wanted: int
    put_off: deque[File] = field(default_factory=deque)
    looks: dict[int, Look] = field(default_factory=dict)
    paths: list[bytes] = field(default_factory=list)  # of those, in their order
    problems: dict[int, Problem] = field(default_factory=dict)
    turns: list[_Turn] = field(default_factory=list)
    suspects: set[bytes] = field(default_factory=set)  # directories in which a look has taken long

    def take(self) -> list[File]:
        """Return all files that may be looked at now; what lies beside one that has taken long comes last."""
        if self.suspects:
            self.put_off.extend(file for file in self.left if os.path.dirname(file[1]) in self.suspects)
            self.left = deque(file for file in self.left if os.path.dirname(file[1]) not in self.suspects)
        taken, self.left = self.left or self.put_off, deque()
        if taken is self.put_off:
            self.put_off = deque()
        return list(taken)

    def note(self, files: Sequence[File], seen: Sequence[Look | Problem]) -> None:
        """Take what was found; the first that is said of a file counts."""
        seen = tuple(seen)  # its thread may go on
        looks = [found for found in seen if not isinstance(found, Problem)]
        if len(looks) == len(seen) and not self.looks and not self.problems:
            self.looks = dict(zip([index for index, _ in files], looks, strict=False))
            self.paths = [path for _, path in files[: len(looks)]]
            return
        for (index, path), found in zip(files, seen, strict=False):
            if index in self.looks or index in self.problems:
                continue
            if isinstance(found, Problem):
                self.problems[index] = found
            else:
                self.looks[index] = found
                self.paths.append(path)

    def cut(self, turn: _Turn) -> File:
        """Relieve a thread of what is behind the file that it looks at; return that file."""
        place = turn.now[0]
        # Each time: it may have gone on to the next one just when it was relieved.
        self.note(turn.files, turn.seen)
        if not turn.is_cut:
            turn.is_cut = True
            self.left.extendleft(reversed(turn.files[place + 1 :]))
        return turn.files[place]

    @property
    def answer(self) -> Described | None:
        """What is to be said, when all is known."""
        if len(self.looks) + len(self.problems) < self.wanted:
            return None
        rows = [*self.looks.values(), *[_NOTHING] * len(self.problems)]
        sizes, mtimes, _, modes, _ = zip(*rows, strict=True) if rows else ((),) * 5
        problems = dict(enumerate(self.problems.values(), len(self.looks)))
        indexes = [*self.looks, *self.problems]
        found = Columns.build(
            Found, len(rows), index=indexes, size=sizes, mtime_ns=mtimes, mode=modes, problem=problems
        )
        return Described(self.seq, found)


def _not_shortly(_path: bytes) -> None:
    """Look at a file of a storage where each has to be opened for that."""


class Looks:
    """The looks of one reader."""

    def __init__(self, files: Files, patience_s: float, control: Control) -> None:
        """`patience_s` is how long one look may take."""
        self._files = files
        self._patience_s = patience_s
        self._control = control
        self._lock = threading.Lock()
        self._chunks: list[_Chunk] = []
        self._threads = 0

    def begin(self, order: Describe, now: float) -> None:
        """Look at the files of an order; its answer is said when all have been looked at.  Raises ProtocolViolation."""
        rows = Columns.of(SourceFile, order.files)
        if len(set(indexes := rows.numbers("index"))) != len(indexes):
            raise ProtocolViolation("a file is described twice")
        files = deque(zip(indexes, rows.names("path"), strict=True))
        chunk = _Chunk(order.seq, now, files, len(files))
        with self._lock:
            self._chunks.append(chunk)
        self._start(chunk)

    def tick(self, now: float) -> None:
        """Do what is due: to be called often.  Raises ProtocolViolation."""
        for chunk in list(self._chunks):
            self._hurry(chunk, now)

    def _hurry(self, chunk: _Chunk, now: float) -> None:
        with self._lock:
            is_stuck = all(now - turn.now[1] >= SLOW_S for turn in chunk.turns)
            is_late = now - chunk.begun >= ANSWER_WITHIN_S
            for turn in list(chunk.turns):
                since = turn.now[1]
                if is_late or now - since >= self._patience_s:
                    self._hang(chunk, chunk.cut(turn), f"its file system has not answered for {now - since:.0f} s")
                    chunk.turns.remove(turn)
                elif now - since >= SLOW_S:
                    _, path = chunk.cut(turn)
                    chunk.suspects.add(os.path.dirname(path))
            may_start = self._threads < _HUNG and len(chunk.turns) < _THREADS
            if is_late or (is_stuck and self._threads >= _HUNG):
                while left := chunk.take():
                    for file in left:
                        self._hang(chunk, file, "the look at it was put off: others have not been answered")
            is_wanted = is_stuck and may_start and bool(chunk.left or chunk.put_off)
        if is_wanted:
            self._start(chunk)
        self._answer_if_whole(chunk)

    def _hang(self, chunk: _Chunk, file: File, why: str) -> None:
        """Answer for a file whose look hangs; whoever looks at it finds that nobody asks any more."""
        error = SourceHangs(f"looking at {os.fsdecode(file[1])}: {why}")
        chunk.note([file], [error.problem(Side.SOURCE, Phase.PREFLIGHT)])

    def _answer_if_whole(self, chunk: _Chunk) -> None:
        with self._lock:
            if chunk not in self._chunks or (answer := chunk.answer) is None:
                return
            self._chunks.remove(chunk)
        self._files.note_looks(chunk.paths, chunk.looks)
        self._control.say(answer)

    def _start(self, chunk: _Chunk) -> None:
        with self._lock:
            self._threads += 1
        threading.Thread(target=self._run, args=(chunk,), name="look", daemon=True).start()

    def _run(self, chunk: _Chunk) -> None:
        try:
            with self._files.reading() as reading:
                while (turn := self._take(chunk)) is not None:
                    self._look(turn, reading)
                    if not self._note(chunk, turn):
                        return
            self._answer_if_whole(chunk)
        except FdtError as exc:
            self._control.fail(exc)  # not about a file: about what was ordered
        finally:
            with self._lock:
                self._threads -= 1

    def _take(self, chunk: _Chunk) -> _Turn | None:
        with self._lock:
            if not (files := chunk.take()):
                return None
            turn = _Turn(files, (0, time.monotonic()))
            chunk.turns.append(turn)
            return turn

    def _look(self, turn: _Turn, reading: Reading | None) -> None:
        shortly, look = reading.look if reading is not None else _not_shortly, self._files.look
        clock, seen = time.monotonic, turn.seen
        for place, (_, path) in enumerate(turn.files):
            turn.now = place, clock()
            seen.append(shortly(path) or look(path))
            if turn.is_cut:
                return

    def _note(self, chunk: _Chunk, turn: _Turn) -> bool:
        """Take what a thread has found; False if it was given up meanwhile."""
        with self._lock:
            if turn not in chunk.turns:
                return False
            chunk.turns.remove(turn)
            chunk.note(turn.files, turn.seen)
        return True
