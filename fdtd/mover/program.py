"""The mover program: `python3 -I -m fdtd.mover.program` with orders on standard input.

Decides which role a mover process plays, and its exit status.  Each role imports only what it needs: starting a mover
is part of every transfer.
"""

from __future__ import annotations

import os
import threading

from fdtcp.errors import FdtError, InternalError, Phase, ProtocolViolation, Side
from fdtcp.model.order import Ended, Role, Setup
from fdtd.mover.control import Control
from fdtd.mover.log import Log
from fdtd.mover.process import prepare


def main(stdin: int = 0, stdout: int = 1) -> int:
    """Play the role that the first order gives; returns the exit status."""
    umask = prepare()
    control = Control(stdin, stdout)
    log = Log()
    side = Side.SOURCE
    try:
        setup = control.first_order()
        if not isinstance(setup, Setup):
            raise ProtocolViolation("the first order must be Setup")
        side = Side.SOURCE if setup.role is Role.READER else Side.DESTINATION
        log = Log(setup.job, setup.role.value)
        log.event("start", pid=os.getpid(), uid=os.geteuid())
        watch_threads(control, log)
        control.start()
        _play(setup, control, log, umask)
    except FdtError as exc:
        log.trouble("end", code=exc.code, reason=exc.reason)
        control.say(Ended(exc.problem(side, Phase.TRANSFER)))
        return 1
    except Exception as exc:  # noqa: BLE001  # the process boundary: the traceback is in the log
        import traceback

        log.trouble("bug", trace=traceback.format_exc())
        error = InternalError(f"the mover failed with {type(exc).__name__}: {exc}")
        control.say(Ended(error.problem(side, Phase.TRANSFER)))
        return 1
    log.event("end")
    return 0


def watch_threads(control: Control, log: Log) -> None:
    """Make a bug in any thread the end of the mover: without its thread, a transfer would hang and never say why."""

    def fail(args: threading.ExceptHookArgs) -> None:
        import traceback

        trace = "".join(traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback))
        log.trouble("bug", trace=trace)
        control.fail(InternalError(f"a thread of the mover failed with {args.exc_type.__name__}: {args.exc_value}"))

    threading.excepthook = fail


def _play(setup: Setup, control: Control, log: Log, umask: int) -> None:
    if setup.role is Role.READER:
        from fdtd.mover.reader import main as play_reader

        play_reader(setup, control, log)
    elif setup.role is Role.WRITER:
        from fdtd.mover.writer import main as play_writer

        play_writer(setup, control, log, umask)
    else:
        from fdtd.mover.sweeper import main as play_sweeper

        play_sweeper(setup, control, log)


if __name__ == "__main__":
    # Threads that hang in a disk or a socket must not keep the process: everything that matters has been done.
    os._exit(main())
