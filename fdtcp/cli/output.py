"""Where fdtcp's words go: standard output, which is the log, and the file of --logFile.

Decides the form of a line and that a reader who went away does not stop a transfer.
"""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import TextIO

from fdtcp.errors import FdtError, RemoteProblem, UsageError


class Log:
    """Lines for people.  On a terminal they are bare, elsewhere each has its time.  A context manager."""

    def __init__(self, stream: TextIO, *, is_debug: bool = False) -> None:
        self._stream = stream
        self._is_open = True
        self._is_debug = is_debug
        self._file: TextIO | None = None
        self.is_terminal = stream.isatty()

    def add_file(self, path: str) -> None:
        """Append all further lines to this file, too.  Raises UsageError."""
        try:
            self._file = open(path, "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115  # __exit__ closes
        except OSError as exc:
            raise UsageError(f"cannot write the log {path}: {exc.strerror}", remedy="choose another place") from exc

    def say(self, text: str) -> None:
        """Write one line."""
        self._write(text, to_stream=True)

    def note(self, text: str) -> None:
        """Write one line to the log file, and with --debug DEBUG to the standard output."""
        self._write(text, to_stream=self._is_debug)

    def _write(self, text: str, *, to_stream: bool) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        if to_stream and self._is_open:
            line = text if self.is_terminal else f"{stamp} {text}"
            try:
                self._stream.write(_encodable(line, self._stream) + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                # Whoever read this has gone away; the transfer goes on.
                self._is_open = False
        if self._file is not None:
            try:
                self._file.write(f"{stamp} [{os.getpid()}] {text}\n")
                self._file.flush()
            except OSError:
                self._file = None

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


def complain(error: FdtError, log: Log) -> None:
    """Say an error on standard error, and in the log unless both are the same."""
    code = error.remote.code if isinstance(error, RemoteProblem) else error.code
    lines = [f"fdtcp: {error} [{code}]"]
    # A single thing is in the error's own text.
    if isinstance(error, UsageError) and len(error.details) > 1:
        lines += [f"  {detail}" for detail in error.details]
    for line in lines:
        try:
            print(_encodable(line, sys.stderr), file=sys.stderr, flush=True)
        except OSError:
            pass  # nobody reads it
        # A caller that throws standard error away still has it in its log.
        (log.note if log.is_terminal or _is_same_file(1, 2) else log.say)(line)


def _encodable(line: str, stream: TextIO) -> str:
    """Replace what the stream's encoding cannot say, as under LC_ALL=C."""
    encoding = stream.encoding or "ascii"
    return line.encode(encoding, "backslashreplace").decode(encoding)


def _is_same_file(first: int, second: int) -> bool:
    try:
        return os.path.sameopenfile(first, second)
    except OSError:
        return True
