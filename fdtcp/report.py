"""What a caller reads when fdtcp has ended: the report, the exit code, and the JSON result.

Decides what BACKEND_CONTRACT.md fixes.  A report has a line for each file as soon as its outcome is final, so that a
kill loses none; when fdtcp ends by itself it is written anew, whole and in the order of the copyjob, and put in place
by a rename.  An old report is emptied first: its lines must not pass for ours.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Final

from fdtcp.errors import Status, UsageError, one_line
from fdtcp.model.order import Outcome, State
from fdtcp.model.transfer import Transfer

# A person reads DETAIL in a log of the caller's; the whole text is in our own.
MAX_DETAIL_CHARS: Final = 200


def format_line(transfer: Transfer, outcome: Outcome) -> bytes:
    """Return the report's line of one file: FROM TO STATUS DETAIL, with its line feed."""
    source, destination = transfer.source.text, transfer.destination.text
    if not transfer.literal:
        source, destination = _escape(source), _escape(destination)
    return b"%s %s %d %s\n" % (source, destination, status_of(outcome), _detail(outcome).encode("ascii"))


def status_of(outcome: Outcome) -> int:
    """Return the STATUS of one file: 0 to 3."""
    if outcome.state is not State.FAILED:
        return int(Status.GOOD)
    status = outcome.problem.status if outcome.problem is not None else Status.GENERAL
    return int(status) if status in (Status.EXISTS, Status.PERMISSION) else int(Status.GENERAL)


def exit_code(outcomes: Iterable[Outcome | None], *, is_report_whole: bool = True) -> int:
    """Return the exit code for the outcomes of all files, None for one that is not final.

    0 only if every file is done or skipped and the report says so; else the status that all failures share, or 1.
    """
    statuses = {status_of(outcome) if outcome is not None else int(Status.GENERAL) for outcome in outcomes}
    if not statuses or not is_report_whole:
        return int(Status.GENERAL)
    failures = statuses - {int(Status.GOOD)}
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
    """The report on disk; a context manager.  One line is one write, so lines of several threads do not mix."""

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
            with contextlib.suppress(OSError):
                for outcome in outcomes:
                    os.write(self._descriptor, format_line(transfers[outcome.index], outcome))

    def finish(self, transfers: Sequence[Transfer], outcomes: Sequence[Outcome | None]) -> None:
        """Write the report whole, in order and atomically; files without an outcome are left out.  Raises OSError."""
        content = b"".join(
            format_line(transfer, outcome)
            for transfer, outcome in zip(transfers, outcomes, strict=True)
            if outcome is not None
        )
        if not self._is_regular:
            with open(self._descriptor, "wb", closefd=False) as file:
                os.set_blocking(self._descriptor, True)
                file.write(content)
            return
        write_atomically(self.path, content)

    def __enter__(self) -> ReportFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


def write_atomically(path: str, content: bytes) -> None:
    """Put a file with that content at `path` by a rename; nobody ever sees half of it.  Raises OSError."""
    temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            with contextlib.suppress(FileNotFoundError):
                os.fchmod(descriptor, stat.S_IMODE(os.stat(path).st_mode))
            os.fsync(descriptor)
        os.rename(temporary, path)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
