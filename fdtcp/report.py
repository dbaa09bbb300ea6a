"""What a caller reads when fdtcp has ended: the report, the exit code, and the JSON result.

Decides what BACKEND_CONTRACT.md fixes.  A report has a line for each file as soon as its outcome is final, so that a
kill loses none; when fdtcp ends by itself it is written anew, whole and in the order of the copyjob, and put in place
by a rename.  An old report is emptied first: its lines must not pass for ours.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Final

from fdtcp.errors import Problem, Status, UsageError, one_line
from fdtcp.model.columns import Columns
from fdtcp.model.order import Outcome, State
from fdtcp.model.outcomes import Outcomes
from fdtcp.model.transfer import Transfer, Transfers

# A person reads DETAIL in a log of the caller's; the whole text is in our own.
MAX_DETAIL_CHARS: Final = 200
# A file at a time would be a part of what a small file costs; all at once, of the memory of a large job.
FILES_AT_ONCE: Final = 5000
# "adler32:0a1b2c3d": such a one needs neither cutting nor escaping.
MAX_PLAIN_CHECKSUM: Final = 80
_PLAIN_BYTES: Final = b"abcdefghijklmnopqrstuvwxyz0123456789:-\0"


def format_line(transfer: Transfer, outcome: Outcome) -> bytes:
    """Return the report's line of one file: FROM TO STATUS DETAIL, with its line feed."""
    source, destination = transfer.source.text, transfer.destination.text
    if not transfer.literal:
        source, destination = _escape(source), _escape(destination)
    return b"%s %s %d %s\n" % (source, destination, status_of(outcome), _detail(outcome).encode("ascii"))


def format_lines(transfers: Transfers, outcomes: Columns[Outcome]) -> bytes:
    """Return the report's lines of the transfers with these outcomes, row by row."""
    if not is_plain(outcomes) or not all(transfers.literals):
        return b"".join(map(format_line, transfers, outcomes))
    sizes, checksums = outcomes.numbers("size"), outcomes.raw("checksum").split(b"\0")[:-1]
    names = transfers.sources, transfers.destinations
    if not checksums:
        return b"".join(map(b"%s %s 0 done, %d bytes\n".__mod__, zip(*names, sizes, strict=True)))
    return b"".join(map(b"%s %s 0 done, %d bytes %s\n".__mod__, zip(*names, sizes, checksums, strict=True)))


def is_plain(outcomes: Columns[Outcome]) -> bool:
    """Whether all of these are files that were moved whole, with checksums as ours are: as nearly always."""
    if any(outcomes.codes("state")) or outcomes.raw("kept") or outcomes.raw("promise") or outcomes.rest("problem"):
        return False
    checksums = outcomes.raw("checksum")
    is_short = max(map(len, checksums.split(b"\0"))) <= MAX_PLAIN_CHECKSUM
    return is_short and not checksums.translate(None, _PLAIN_BYTES) and b"\0\0" not in b"\0" + checksums


def status_of(outcome: Outcome) -> int:
    """Return the STATUS of one file: 0 to 3."""
    return int(Status.GOOD) if outcome.state is not State.FAILED else _status_of_failure(outcome.problem)


def _status_of_failure(problem: Problem | None) -> int:
    status = problem.status if problem is not None else Status.GENERAL
    return int(status) if status in (Status.EXISTS, Status.PERMISSION) else int(Status.GENERAL)


def exit_code(outcomes: Sequence[Outcome | None], *, is_report_whole: bool = True) -> int:
    """Return the exit code for the outcomes of all files, None for one that is not final.

    0 only if every file is done or skipped and the report says so; else the status that all failures share, or 1.
    """
    known = Outcomes.of(outcomes)
    if not known.files or not is_report_whole:
        return int(Status.GENERAL)
    failures = set(map(_status_of_failure, known.problems.values()))
    if not known.is_whole or len(known.problems) < known.tally(State.FAILED):
        failures.add(int(Status.GENERAL))
    if not failures:
        return int(Status.GOOD)
    return failures.pop() if len(failures) == 1 else int(Status.GENERAL)


def _escape(name: bytes) -> bytes:
    return b"".join(b"%c" % byte if 0x21 <= byte <= 0x7E else b"%%%02X" % byte for byte in name)


def _detail(outcome: Outcome) -> str:
    checksum = f" {outcome.checksum}" if outcome.checksum else ""
    if outcome.state is State.DONE:
        kept = f", {outcome.kept} of them were there already" if outcome.kept else ""
        promise = f" ({outcome.promise})" if outcome.promise else ""
        return _cut(f"done, {outcome.size} bytes{kept}{checksum}{promise}")
    if outcome.state is State.SKIPPED:
        return f"skipped, the same file of {outcome.size} bytes is there already{checksum}"
    text = str(outcome.problem) if outcome.problem is not None else "failed"
    return _cut(text)


def _cut(text: str) -> str:
    ascii_text = one_line(text).encode("ascii", "replace").decode("ascii")
    return ascii_text if len(ascii_text) <= MAX_DETAIL_CHARS else ascii_text[: MAX_DETAIL_CHARS - 3] + "..."


class ReportFile:
    """The report on disk; a context manager.  Lines are written whole, so those of several threads do not mix."""

    def __init__(self, path: str) -> None:
        """Create or empty the report.  Raises UsageError if that cannot be done: before anything moves."""
        # The file itself is replaced at the end, not a link to it.
        self.path = os.path.realpath(path)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
            self._descriptor = os.open(self.path, flags, 0o666)
            self._is_regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
            if self._is_regular:
                os.ftruncate(self._descriptor, 0)
        except OSError as exc:
            raise UsageError(f"cannot write the report {path}: {exc.strerror}", remedy="choose another place") from exc

    def append(self, transfers: Sequence[Transfer], outcomes: Sequence[Outcome]) -> None:
        """Note outcomes that are final; a report that is a pipe or a terminal gets all of it at the end.

        A full disk here does not stop a transfer: `finish` will meet it again, and say so.
        """
        if self._is_regular:
            rows = Columns.of(Outcome, outcomes)
            lines = memoryview(format_lines(Transfers.of(transfers).part(rows.numbers("index")), rows))
            with contextlib.suppress(OSError):
                while lines:
                    lines = lines[os.write(self._descriptor, lines) :]

    def finish(self, transfers: Sequence[Transfer], outcomes: Sequence[Outcome | None]) -> None:
        """Write the report whole, in order and atomically; files without an outcome are left out.  Raises OSError."""
        content = _whole(Transfers.of(transfers), Outcomes.of(outcomes))
        if not self._is_regular:
            with open(self._descriptor, "wb", closefd=False) as file:
                os.set_blocking(self._descriptor, True)
                file.writelines(content)
            return
        write_atomically(self.path, content)

    def __enter__(self) -> ReportFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


def _whole(transfers: Transfers, known: Outcomes) -> Iterator[bytes]:
    for start in range(0, len(transfers), FILES_AT_ONCE):
        rows = known.rows(start, min(start + FILES_AT_ONCE, len(transfers)))
        yield format_lines(transfers.part(rows.numbers("index")), rows)


def write_atomically(path: str, content: Iterable[bytes]) -> None:
    """Put a file with that content, in pieces, at `path` by a rename; nobody ever sees half of it.  Raises OSError."""
    temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with open(descriptor, "wb") as file:
            file.writelines(content)
            file.flush()
            with contextlib.suppress(FileNotFoundError):
                os.fchmod(descriptor, stat.S_IMODE(os.stat(path).st_mode))
            os.fsync(descriptor)
        os.rename(temporary, path)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
