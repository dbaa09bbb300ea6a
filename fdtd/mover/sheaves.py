"""Small files between their stream and their outcomes: many at once, because each alone would cost more than its bytes.

Decides what becomes of the files of a sheaf when it is complete, safe, or lost; a file that fails is remembered as any
other file from then on.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Mapping, Sequence
from typing import Final

from fdtcp.errors import Phase, Problem, Side
from fdtcp.model.columns import Columns
from fdtcp.model.order import DestinationFile, Outcome, State
from fdtd.mover.commit import Sheaf
from fdtd.mover.landing import Landing

_DONE: Final = bytes([list(State).index(State.DONE)])  # as columns have it


class Sheaves:
    """The sheaves of a writer.  Methods may be called from any thread."""

    def __init__(self, landing: Landing) -> None:
        self._landing = landing

    def expect(self, files: Mapping[int, DestinationFile]) -> None:
        """Take over small files, by index, that pre-flight found to be plain."""
        landing = self._landing
        with landing.lock:
            landing.receiver.expect_plain(files)
            landing.open_files += len(files)
            landing.waiting += len(files)

    def settle(self, sheaf: Sheaf) -> None:
        """Give files that were written to the committer; those that their stream has lost meanwhile are dropped."""
        landing = self._landing
        settle = landing.receiver.arrivals.settle
        with landing.lock:
            for number in [number for number, (file, _) in sheaf.files.items() if not settle(file.index)]:
                sheaf.size -= sheaf.files.pop(number)[0].size
                sheaf.bundle.drop(number)
            landing.waiting -= len(sheaf.files)
            landing.room.enter(len(sheaf.files))
            landing.lock.notify_all()
            if sheaf.files:
                landing.on_sheaf(sheaf)
                return
        sheaf.bundle.close()

    def committed(self, sheaves: Sequence[Sheaf]) -> None:
        """Take the end of a commit.

        Their room is others' when their descriptors are: an epoch's and as many again may be more than there are.
        """
        landing, count = self._landing, sum(len(sheaf.files) for sheaf in sheaves)
        with landing.lock:
            now = time.time()
            for sheaf in sheaves:
                failed = list(sheaf.files if sheaf.error is not None else sheaf.errors)
                sheaf.failed = len(failed)
                for number in failed:
                    error = sheaf.error or sheaf.errors[number]
                    self._fail(*sheaf.files.pop(number), error.problem(Side.DESTINATION, Phase.COMMIT))
            self._conclude([one for sheaf in sheaves for one in sheaf.files.values()], now)
        for sheaf in sheaves:
            sheaf.bundle.close()
        self._leave(count)

    def abandon(self, sheaves: Sequence[Sheaf], problem: Problem, *, close: bool = True) -> None:
        """Fail files that nobody began to commit; `close`: nor will come back to."""
        count = sum(len(sheaf.files) for sheaf in sheaves)
        with self._landing.lock:
            for sheaf in sheaves:
                for file, value in sheaf.files.values():
                    self._fail(file, value, problem)
        for sheaf in sheaves if close else ():
            sheaf.bundle.close()
        self._leave(count)

    def take_outcomes(self) -> Columns[Outcome]:
        """Return the outcomes of what is done, each once."""
        with self._landing.lock:
            done, self._landing.done = self._landing.done, []
        return Columns.join(Outcome, done)

    def _conclude(self, files: list[tuple[DestinationFile, int]], now: float) -> None:
        """Note of all of them at once what they have in common: they are safe."""
        if not files:
            return
        landing = self._landing
        count, sizes = len(files), array("q", [file.size for file, _ in files])
        landing.done.append(
            Columns.build(
                Outcome,
                count,
                index=array("q", [file.index for file, _ in files]),
                state=_DONE * count,
                size=sizes,
                moved=sizes,
                checksum=landing.checksum.texts([value for _, value in files]),
                finished=array("d", [now]) * count,
                promise=[landing.policy.promise] * count if landing.policy.promise else (),
            )
        )
        landing.finished_files += count
        landing.open_files -= count
        if landing.open_files == 0:
            landing.on_all_final()

    def _fail(self, file: DestinationFile, value: int, problem: Problem) -> None:
        landing = self._landing
        arrival = landing.receiver.arrivals.unsettle(file)
        arrival.moved, arrival.value = file.size, value
        landing.fail_verified(file.index, problem)

    def _leave(self, files: int) -> None:
        with self._landing.lock:
            self._landing.room.leave(files)
            self._landing.lock.notify_all()
