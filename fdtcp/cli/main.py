"""The command `fdtcp`: which of its programs is meant, its signals, and its last resort for errors.

Start-up time is part of every transfer: what is heavy is loaded by those who use it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fdtcp.cli.arguments import parse_arguments
from fdtcp.cli.output import Log, complain
from fdtcp.cli.signals import Signals
from fdtcp.cli.transfer import transfer
from fdtcp.errors import FdtError, Status, UsageError


def run() -> None:
    """Be the program."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    if arguments[:1] == ["demo"]:
        from fdtcp.cli.demo import main as demo

        return demo(arguments[1:])
    if arguments[:1] in (["attach"], ["status"], ["cancel"], ["renew"], ["rate"]):
        from fdtcp.cli.attach import main as attach

        return attach(arguments[0], arguments[1:])
    signals = Signals()
    try:
        line = parse_arguments(arguments)
    except UsageError as exc:
        with Log(sys.stdout) as log:
            complain(exc, log)
        return int(Status.USAGE)
    # With the result or a job's id on standard output, the log has to go elsewhere.
    with Log(sys.stderr if line.json == "-" or line.is_detached else sys.stdout, is_debug=line.debug == "DEBUG") as log:
        try:
            return transfer(line, log, signals.is_caught)
        except FdtError as exc:
            complain(exc, log)
            return int(Status.USAGE if isinstance(exc, UsageError) else Status.GENERAL)
