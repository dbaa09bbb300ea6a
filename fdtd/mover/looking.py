"""Pre-flight at the source: a look at each file, by threads that its file system may keep.

Decides how long a look may take and what goes on beside one that takes long.  A dead mount holds whoever asks it for
anything, for as long as it likes, and does not answer a second one either: so what lies beside a file that gives no
answer is looked at last.  The daemon waits a minute for the answer to an order.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import field
from typing import Final

from fdtcp.errors import FdtError, Phase, Side, SourceHangs
from fdtcp.model.order import Describe, Described, Found, SourceFile
from fdtcp.value import dataclass
from fdtd.mover.control import Control

# So long a thread may be busy with one look until another one takes on the rest.
SLOW_S: Final = 1.0

# The daemon gives up after a minute (fdtd.live); what has been found until then must be said before.
ANSWER_WITHIN_S: Final = 50.0

# So many threads look at the files of one order at most, and so many may hang altogether.
_THREADS: Final = 8
_HUNG: Final = 64

Look = Callable[[SourceFile], Found]


@dataclass(slots=True)
class _Chunk:
    """The files of one order."""

    seq: int
    begun: float
    left: deque[SourceFile]
    wanted: int
    put_off: deque[SourceFile] = field(default_factory=deque)
    found: dict[int, Found] = field(default_factory=dict)
    looking: dict[int, tuple[SourceFile, float]] = field(default_factory=dict)  # file: since when
    suspects: set[bytes] = field(default_factory=set)  # directories in which a look has taken long

    def next(self) -> SourceFile | None:
        while self.left:
            file = self.left.popleft()
            if not self.suspects or os.path.dirname(file.path) not in self.suspects:
                return file
            self.put_off.append(file)
        return self.put_off.popleft() if self.put_off else None


class Looks:
    """The looks of one reader."""

    def __init__(self, look: Look, patience_s: float, control: Control) -> None:
        """`look` finds one file; `patience_s` is how long it may take."""
        self._look = look
        self._patience_s = patience_s
        self._control = control
        self._lock = threading.Lock()
        self._chunks: list[_Chunk] = []
        self._threads = 0

    def begin(self, order: Describe, now: float) -> None:
        """Look at the files of an order; its answer is said when all have been looked at."""
        chunk = _Chunk(order.seq, now, deque(order.files), len(order.files))
        with self._lock:
            self._chunks.append(chunk)
        self._start(chunk)

    def tick(self, now: float) -> None:
        """Do what is due: to be called often."""
        for chunk in list(self._chunks):
            self._hurry(chunk, now)

    def _hurry(self, chunk: _Chunk, now: float) -> None:
        with self._lock:
            since = [start for _, start in chunk.looking.values()]
            is_late = now - chunk.begun >= ANSWER_WITHIN_S
            for file, start in list(chunk.looking.values()):
                if is_late or now - start >= self._patience_s:
                    self._hang(chunk, file, f"its file system has not answered for {now - start:.0f} s")
                elif now - start >= SLOW_S:
                    chunk.suspects.add(os.path.dirname(file.path))
            is_stuck = all(now - start >= SLOW_S for start in since)
            may_start = self._threads < _HUNG and len(chunk.looking) < _THREADS
            if is_late or (is_stuck and self._threads >= _HUNG):
                while (left := chunk.next()) is not None:
                    self._hang(chunk, left, "the look at it was put off: others have not been answered")
            is_wanted = is_stuck and may_start and bool(chunk.left or chunk.put_off)
            answer = self._answer_if_whole(chunk)
        if answer is not None:
            self._control.say(answer)
        elif is_wanted:
            self._start(chunk)

    def _hang(self, chunk: _Chunk, file: SourceFile, why: str) -> None:
        """Answer for a file whose look hangs; whoever looks at it finds that nobody asks any more."""
        chunk.looking.pop(file.index, None)
        error = SourceHangs(f"looking at {os.fsdecode(file.path)}: {why}")
        chunk.found[file.index] = Found(file.index, 0, 0, 0, error.problem(Side.SOURCE, Phase.PREFLIGHT))

    def _answer_if_whole(self, chunk: _Chunk) -> Described | None:
        if len(chunk.found) < chunk.wanted or chunk not in self._chunks:
            return None
        self._chunks.remove(chunk)
        return Described(chunk.seq, tuple(chunk.found.values()))

    def _start(self, chunk: _Chunk) -> None:
        with self._lock:
            self._threads += 1
        threading.Thread(target=self._run, args=(chunk,), name="look", daemon=True).start()

    def _run(self, chunk: _Chunk) -> None:
        try:
            while (file := self._take(chunk)) is not None:
                if not self._note(chunk, self._look(file)):
                    return
        except FdtError as exc:
            self._control.fail(exc)  # not about a file: about what was ordered
        finally:
            with self._lock:
                self._threads -= 1

    def _take(self, chunk: _Chunk) -> SourceFile | None:
        with self._lock:
            if (file := chunk.next()) is not None:
                chunk.looking[file.index] = file, time.monotonic()
            return file

    def _note(self, chunk: _Chunk, found: Found) -> bool:
        """Take the result of a look; False if it was given up meanwhile."""
        with self._lock:
            if chunk.looking.pop(found.index, None) is None:
                return False
            chunk.found[found.index] = found
            answer = self._answer_if_whole(chunk)
        if answer is not None:
            self._control.say(answer)
        return True
